"""Files whose name or sidecar says another contrast."""

import json
from pathlib import Path

from mrcontrast.inference.session_files import contrast_refusal, other_contrast


def test_a_sidecar_that_contradicts_is_named(tmp_path: Path) -> None:
    source = tmp_path / "sub-01_FLAIR.nii.gz"
    side = tmp_path / "sub-01_FLAIR.json"
    assert other_contrast(source, "flair") is None
    assert other_contrast(source, "t1w") == "FLAIR by its name"
    side.write_text(json.dumps({"SeriesDescription": "t1_mprage", "ProtocolName": "x"}))
    found = other_contrast(source, "flair")
    assert found == "T1w by SeriesDescription 't1_mprage' of its sidecar"
    side.write_text("[]")
    assert other_contrast(source, "flair") is None


def test_a_refusal_names_the_contrast_of_the_model(tmp_path: Path) -> None:
    source = tmp_path / "sub-01_ce-gad_T1w.nii.gz"
    assert contrast_refusal(source, "t1wce") is None
    assert contrast_refusal(source, "cest") is not None
    said = contrast_refusal(source, "t2w")
    assert said is not None
    assert said.startswith("Expected T2w for this model, got sub-01_ce-gad_T1w.nii.gz")
    assert contrast_refusal(tmp_path / "case7.nii.gz", "cest") is None
