from pathlib import Path

import pytest

from mrcontrast.errors import MrcontrastError
from mrcontrast.evaluation.pairing import (
    IMAGE,
    MASKS,
    image_pattern,
    index_folder,
    listing,
    match,
    prediction_patterns,
)


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def test_bids_tree(tmp_path: Path) -> None:
    stems = ["sub-01/ses-a/anat/sub-01_ses-a", "sub-02/anat/sub-02_space-MNI152"]
    kinds = ["T1w", "FLAIR", "desc-brain_mask", "label-lesion_mask", "dseg"]
    fill(tmp_path, *(f"{stem}_{kind}.nii.gz" for stem in stems for kind in kinds))
    for patterns, kind in (((image_pattern("t1w"), IMAGE), "T1w"), (MASKS, "desc-brain_mask")):
        assert index_folder(tmp_path, patterns) == {
            "sub-01_ses-a": tmp_path / f"{stems[0]}_{kind}.nii.gz",
            "sub-02": tmp_path / f"{stems[1]}_{kind}.nii.gz",
        }


def test_our_predictions_stand_before_all_else_in_their_folder(tmp_path: Path) -> None:
    fill(
        tmp_path, "sub-01_desc-synth_T1w.nii.gz", "sub-01_T1w.nii.gz", "sub-01_desc-std_T1w.nii.gz"
    )
    assert (
        index_folder(tmp_path, prediction_patterns("t1w"))["sub-01"].name
        == "sub-01_desc-synth_T1w.nii.gz"
    )


def test_foreign_names(tmp_path: Path) -> None:
    fill(tmp_path, "IXI002.nii", "IXI003.nii.gz", "IXI003_mask.nii.gz", ".IXI004.nii", "notes.txt")
    assert set(index_folder(tmp_path, prediction_patterns("t1w"))) == {"IXI002", "IXI003"}
    assert set(index_folder(tmp_path, MASKS)) == {"IXI003"}


def test_the_spread_beside_an_image_is_no_image(tmp_path: Path) -> None:
    fill(tmp_path, "out.nii.gz", "out_std.nii.gz", "other_std.nii.gz", "7/a.nii", "7/a_std.nii")
    assert set(index_folder(tmp_path, prediction_patterns("t1w"))) == {"out", "other_std", "a"}


def test_entities_may_stand_in_the_folders(tmp_path: Path) -> None:
    fill(tmp_path, "sub-01/ses-2/out.nii.gz")
    assert set(index_folder(tmp_path, prediction_patterns("t1w"))) == {"sub-01_ses-2"}


def test_two_files_of_one_session_are_refused(tmp_path: Path) -> None:
    fill(tmp_path, "sub-01_run-1_T1w.nii.gz", "sub-01_run-2_T1w.nii.gz")
    with pytest.raises(MrcontrastError, match=r"one image of sub-01, got sub-01_run-1.*run-2"):
        index_folder(tmp_path, (image_pattern("t1w"), IMAGE))


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(MrcontrastError, match=r"Expected a folder, got none .*nowhere"):
        index_folder(tmp_path / "nowhere", (image_pattern("t1w"), IMAGE))


def test_a_file_in_place_of_a_folder_is_called_a_file(tmp_path: Path) -> None:
    path = fill(tmp_path, "sub-01_T1w.nii.gz") / "sub-01_T1w.nii.gz"
    with pytest.raises(MrcontrastError, match=r"Expected a folder, got a file .*sub-01_T1w"):
        index_folder(path, (image_pattern("t1w"), IMAGE))


def test_a_name_without_session_means_the_only_one() -> None:
    known = {"sub-01_ses-1": 0, "sub-02_ses-1": 0, "sub-02_ses-2": 0, "sub-011": 0}
    one, two, three = ({f"sub-0{n}": Path("a.nii")} for n in (1, 2, 3))
    assert match(one, known, Path()) == ({"sub-01_ses-1": Path("a.nii")}, [])
    assert match(three, known, Path()) == ({}, ["sub-03"])
    with pytest.raises(MrcontrastError, match="sub-02 for sub-02_ses-1, sub-02_ses-2"):
        match(two, known, Path())


def test_two_predictions_of_one_session_are_refused() -> None:
    files = {"sub-01": Path("a.nii"), "sub-01_ses-1": Path("b.nii")}
    with pytest.raises(
        MrcontrastError, match=r"one prediction of sub-01_ses-1, got a.nii and b.nii"
    ):
        match(files, {"sub-01_ses-1": 0}, Path("out"))


def test_long_lists_are_cut() -> None:
    assert listing("gfedcba") == "a, b, c, d, e and 2 more"
    assert listing("ba") == "a, b"
