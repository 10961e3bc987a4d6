from pathlib import Path

import numpy as np
import pytest

from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.preparation.bids import BidsPairs
from mrcontrast.volume import write_labels

SHAPE = (20, 26, 22)
AFFINE = np.array([[-3.0, 0, 0, 28], [0, 3, 0, -40], [0, 0, 3, -30], [0, 0, 0, 1]])


def write_mask(path: Path, affine: np.ndarray = AFFINE) -> None:
    mask = np.zeros(SHAPE)
    mask[8:12, 8:12, 8:12] = 1
    write_labels(path, mask, affine)


def test_sessions_entities_masks_and_participants(tmp_path: Path, write_pair) -> None:
    write_pair(tmp_path, "sub-01", "ses-1", "_space-MNI152")
    write_pair(tmp_path, "sub-01", "ses-2")
    write_pair(tmp_path, "sub-A7")
    anat = tmp_path / "sub-01" / "ses-1" / "anat"
    write_mask(anat / "sub-01_ses-1_space-MNI152_desc-brain_mask.nii.gz")
    write_mask(anat / "sub-01_ses-1_space-MNI152_label-lesion_mask.nii.gz")
    masks = tmp_path / "derivatives" / "masks"
    write_mask(masks / "sub-01" / "ses-2" / "sub-01_ses-2_space-FLAIR_desc-brain_mask.nii.gz")
    write_mask(masks / "sub-A7" / "anat" / "sub-A7_desc-brain_mask.nii.gz")
    (tmp_path / "participants.tsv").write_text(
        "participant_id\tsex\tage\nsub-01\tF\t53\nsub-A7\tn/a\tn/a\n"
    )
    entries, dropped = BidsPairs(str(tmp_path), site="here").index()
    assert dropped == []
    assert [entry.name for entry in entries] == ["sub-01_ses-1", "sub-01_ses-2", "sub-A7"]
    assert {entry.site for entry in entries} == {"here"}
    loaded = [entry.pair.load() for entry in entries]
    assert [subject.tags for subject in loaded] == [*[{"sex": "F", "age": 53.0}] * 2, {}]
    assert [subject.brain_mask.sum() for subject in loaded] == [64, 64, 64]
    assert [subject.lesion_mask is None for subject in loaded] == [False, True, True]
    sources = [subject.sources["mask"] for subject in loaded]
    assert sources[0] == anat / "sub-01_ses-1_space-MNI152_desc-brain_mask.nii.gz"
    assert sources[2].parent == masks / "sub-A7" / "anat"


def test_site_is_the_name_of_the_folder(bids: Path) -> None:
    assert BidsPairs(str(bids)).index()[0][0].site == "bids"


def test_a_missing_partner_is_dropped_and_named(bids: Path) -> None:
    (bids / "sub-01" / "anat" / "sub-01_T1w.nii.gz").unlink()
    (bids / "sub-02" / "anat" / "sub-02_FLAIR.nii.gz").unlink()
    entries, dropped = BidsPairs(str(bids)).index()
    assert [entry.name for entry in entries] == ["sub-03"]
    reasons = {item.subject: item.reason for item in dropped}
    assert "sub-01_FLAIR.nii.gz" in reasons["sub-01"]
    assert "sub-02_T1w.nii.gz" in reasons["sub-02"]


def test_two_runs_are_ambiguous_until_the_pattern_is_narrowed(bids: Path, write_pair) -> None:
    write_pair(bids, "sub-01", entities="_run-2")
    entries, dropped = BidsPairs(str(bids)).index()
    assert [entry.name for entry in entries] == ["sub-02", "sub-03"]
    assert "sub-01_FLAIR.nii.gz, sub-01_run-2_FLAIR.nii.gz" in dropped[0].reason
    entries, _ = BidsPairs(str(bids), pattern="*_run-2_FLAIR.nii*").index()
    assert [Path(entry.origin).name for entry in entries] == ["sub-01_run-2_FLAIR.nii.gz"]


def test_a_mask_on_another_grid_is_refused(bids: Path) -> None:
    write_mask(bids / "sub-01" / "anat" / "sub-01_desc-brain_mask.nii.gz", np.eye(4))
    entry = BidsPairs(str(bids)).index()[0][0]
    with pytest.raises(MrcontrastError, match=r"sub-01_FLAIR.*sub-01_desc-brain_mask"):
        entry.pair.load()


def test_no_folder() -> None:
    with pytest.raises(UsageError, match="source=FOLDER"):
        BidsPairs("/nowhere/at/all")


def test_hidden_files_are_no_images(bids: Path) -> None:
    for path in list((bids / "sub-02" / "anat").iterdir()):
        path.with_name(f"._{path.name}").write_bytes(b"Mac OS X")
    (bids / "sub-02" / "anat" / "._sub-02_desc-brain_mask.nii.gz").write_bytes(b"Mac OS X")
    (bids / "sub-02" / "anat" / "._sub-02_FLAIR.json").write_bytes(b"\x00\x05")
    (bids / "sub-03" / "anat" / "sub-03_FLAIR.nii.gz").rename(
        bids / "sub-03" / "anat" / ".sub-03_FLAIR.nii.gz"
    )
    entries, dropped = BidsPairs(str(bids)).index()
    assert [entry.name for entry in entries] == ["sub-01", "sub-02"]
    assert entries[1].pair.brain_mask is None
    assert ["got none like" in item.reason for item in dropped] == [True]
