"""Files whose name or sidecar says another contrast."""

import json
from pathlib import Path

from mrcontrast.inference.session_files import contrast_refusal


def test_a_sidecar_that_contradicts_is_named(tmp_path: Path) -> None:
    source = tmp_path / "sub-01_FLAIR.nii.gz"
    side = tmp_path / "sub-01_FLAIR.json"
    assert contrast_refusal(source, "flair") is None
    assert "which is FLAIR by its name. " in str(contrast_refusal(source, "t1w"))
    side.write_text(json.dumps({"SeriesDescription": "t1_mprage", "ProtocolName": "x"}))
    found = str(contrast_refusal(source, "flair"))
    assert "which is T1w by SeriesDescription 't1_mprage' of its sidecar. " in found
    side.write_text("[]")
    assert contrast_refusal(source, "flair") is None


def test_a_refusal_names_the_contrast_of_the_model(tmp_path: Path) -> None:
    source = tmp_path / "sub-01_ce-gad_T1w.nii.gz"
    assert contrast_refusal(source, "t1wce") is None
    assert contrast_refusal(source, "cest") is not None
    said = contrast_refusal(source, "t2w")
    assert said is not None
    assert said.startswith("Expected T2w for this model, got sub-01_ce-gad_T1w.nii.gz")
    assert contrast_refusal(tmp_path / "case7.nii.gz", "cest") is None
