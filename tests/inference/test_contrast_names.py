"""Files whose name or sidecar says another contrast."""

import json
from pathlib import Path

import pytest

from mrcontrast import keys
from mrcontrast.inference.contrast_names import (
    contrast_of_name,
    contrast_of_protocol,
    other_contrast,
)


@pytest.mark.parametrize(
    ("name", "contrast"),
    [
        ("sub-01_FLAIR", "FLAIR"),
        ("sub-01_space-T1w_FLAIR", "FLAIR"),
        ("sub-01_acq-t1_run-2_FLAIR", "FLAIR"),
        ("sub-01_T2w", "T2w"),
        ("sub-01_desc-synth_T1w", "T1w"),
        ("sub-01_PDw", "PDw"),
        ("sub-01_T1w_brain", "T1w"),
        ("AX_T2_FLAIR", "FLAIR"),
        ("t2flair", "FLAIR"),
        ("IXI012-Guys-0728-T2", "T2w"),
        ("brain-t1", "T1w"),
        ("T1_T2", None),
        ("patient7", None),
        ("sub-t1_ses-t2", None),
        ("2024_best1", None),
    ],
)
def test_names(name: str, contrast: str | None) -> None:
    assert contrast_of_name(name) == contrast


@pytest.mark.parametrize(
    ("text", "inversion", "contrast"),
    [
        ("t2_tirm_tra_dark-fluid_3mm", None, "FLAIR"),
        ("t2_space_da-fl_sag_p2_iso", None, "FLAIR"),
        ("t2_spc_ir_sag", None, "FLAIR"),
        ("Sag CUBE T2 FLAIR", None, "FLAIR"),
        ("Ax T1 FLAIR", None, "T1w"),
        ("t2_tse_tra", None, "T2w"),
        ("t2_spc_sag", 1.8, "FLAIR"),
        ("t1_mprage_sag", 0.9, "T1w"),
        ("MPRAGE", None, "T1w"),
        ("ep2d_bold_rest", None, "bold"),
        ("Brain", None, None),
        (17, None, None),
    ],
)
def test_protocols(text: object, inversion: float | None, contrast: str | None) -> None:
    assert contrast_of_protocol(text, inversion) == contrast


def test_a_sidecar_that_contradicts_is_named(tmp_path: Path) -> None:
    source = tmp_path / "sub-01_FLAIR.nii.gz"
    side = tmp_path / "sub-01_FLAIR.json"
    assert other_contrast(source, keys.FLAIR) is None
    assert other_contrast(source, keys.T1W) == "FLAIR by its name"
    side.write_text(json.dumps({"SeriesDescription": "t1_mprage", "ProtocolName": "x"}))
    found = other_contrast(source, keys.FLAIR)
    assert found == "T1w by SeriesDescription 't1_mprage' of its sidecar"
    side.write_text("[]")
    assert other_contrast(source, keys.FLAIR) is None
