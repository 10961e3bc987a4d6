"""Contrasts by name, and the file names and protocols that stand for them."""

import pytest

from mrcontrast.data.contrasts import (
    TABLE,
    contrast_of_name,
    contrast_of_protocol,
    ending_of,
    pattern_of,
    title_of,
)


@pytest.mark.parametrize("name", list(TABLE))
def test_an_ending_is_recognised_as_its_contrast(name: str) -> None:
    assert contrast_of_name(f"sub-01_{ending_of(name)}") == name
    assert contrast_of_name(f"sub-01_acq-t2_run-1_{ending_of(name, 'synth')}") == name


def test_a_contrast_outside_the_table_is_its_own_suffix() -> None:
    assert (ending_of("cest"), ending_of("cest", "synth")) == ("cest", "desc-synth_cest")
    assert (title_of("cest"), pattern_of("cest")) == ("cest", "*_cest.nii*")
    assert contrast_of_name("sub-01_cest") is None


@pytest.mark.parametrize(
    ("name", "contrast"),
    [
        ("sub-01_FLAIR", "flair"),
        ("sub-01_space-T1w_FLAIR", "flair"),
        ("sub-01_acq-t1_run-2_FLAIR", "flair"),
        ("sub-01_T2w", "t2w"),
        ("sub-01_desc-synth_T1w", "t1w"),
        ("sub-01_ce-gadolinium_T1w", "t1wce"),
        ("sub-01_PDw", "pd"),
        ("sub-01_T1w_brain", "t1w"),
        ("AX_T2_FLAIR", "flair"),
        ("t2flair", "flair"),
        ("BraTS-GLI-00000-000-t2f", "flair"),
        ("BraTS-GLI-00000-000-t1c", "t1wce"),
        ("IXI012-Guys-0728-T2", "t2w"),
        ("brain-t1", "t1w"),
        ("T1_T2", None),
        ("patient7", None),
        ("sub-t1_ses-t2", None),
        ("2024_best1", None),
    ],
)
def test_names(name: str, contrast: str | None) -> None:
    assert contrast_of_name(name) == contrast


@pytest.mark.parametrize(
    ("text", "inversion_s", "contrast"),
    [
        ("t2_tirm_tra_dark-fluid_3mm", None, "flair"),
        ("t2_space_da-fl_sag_p2_iso", None, "flair"),
        ("t2_spc_ir_sag", None, "flair"),
        ("Sag CUBE T2 FLAIR", None, "flair"),
        ("Ax T1 FLAIR", None, "t1w"),
        ("t2_tse_tra", None, "t2w"),
        ("t2_spc_sag", 1.8, "flair"),
        ("t1_mprage_sag", 0.9, "t1w"),
        ("MPRAGE", None, "t1w"),
        ("ep2d_bold_rest", None, "bold"),
        ("Brain", None, None),
        (17, None, None),
    ],
)
def test_protocols(text: object, inversion_s: float | None, contrast: str | None) -> None:
    assert contrast_of_protocol(text, inversion_s) == contrast
