import shutil
from pathlib import Path

import numpy as np
import pytest

from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.preparation.bids import BidsPairs
from mrcontrast.storage.volume import write_labels

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
    assert "Expected a T1w in the same session" in reasons["sub-01"]
    assert "sub-01_FLAIR.nii.gz" in reasons["sub-01"]
    assert "sub-02_T1w.nii.gz" in reasons["sub-02"]


def move(bids: Path, subject: str, **names: str) -> None:
    """Rename FLAIR or T1w of a subject: ``T1w="_run-1_T1w"``."""
    anat = bids / subject / "anat"
    for kind, name in names.items():
        (anat / f"{subject}_{kind}.nii.gz").rename(anat / f"{subject}{name}.nii.gz")


def pairs(source: BidsPairs) -> dict[str, tuple[str, str]]:
    entries = source.index()[0]
    return {
        entry.name: (entry.pair.images["flair"].name, entry.pair.images["t1w"].name)
        for entry in entries
    }


@pytest.mark.parametrize(
    "names",
    [
        {"FLAIR": "_acq-2d_FLAIR", "T1w": "_acq-mprage_T1w"},
        {"T1w": "_run-1_T1w"},
        {"FLAIR": "_run-02_FLAIR"},
        {"FLAIR": "_space-T1w_FLAIR"},
    ],
)
def test_names_that_differ_in_entities_are_paired_with_a_remark(
    bids: Path, names: dict[str, str]
) -> None:
    move(bids, "sub-01", **names)
    source = BidsPairs(str(bids))
    assert "sub-01" in pairs(source)
    assert [remark.item for remark in source.remarks] == ["sub-01"]
    assert "entities" in source.remarks[0].text


def test_two_runs_of_both_make_two_pairs(bids: Path, write_pair) -> None:
    move(bids, "sub-01", FLAIR="_run-1_FLAIR", T1w="_run-1_T1w")
    write_pair(bids, "sub-01", entities="_run-02")
    write_pair(bids, "sub-04", "ses-1", "_run-1")
    write_pair(bids, "sub-04", "ses-1", "_acq-x_run-2")
    found = pairs(BidsPairs(str(bids)))
    assert found["sub-01_ses-run1"] == ("sub-01_run-1_FLAIR.nii.gz", "sub-01_run-1_T1w.nii.gz")
    assert found["sub-01_ses-run2"] == ("sub-01_run-02_FLAIR.nii.gz", "sub-01_run-02_T1w.nii.gz")
    assert {"sub-04_ses-1run1", "sub-04_ses-1run2", "sub-02", "sub-03"} < set(found)


def test_one_of_several_t1ws_is_taken_and_the_recipe_can_choose(bids: Path, write_pair) -> None:
    anat = bids / "sub-01" / "anat"
    for name in ("acq-mprage_run-2", "acq-mprage_run-1", "acq-spgr_rec-norm", "acq-mprage"):
        (anat / f"sub-01_{name}_T1w.nii.gz").write_bytes((anat / "sub-01_T1w.nii.gz").read_bytes())
    assert pairs(BidsPairs(str(bids)))["sub-01"][1] == "sub-01_T1w.nii.gz"
    (anat / "sub-01_T1w.nii.gz").unlink()
    source = BidsPairs(str(bids))
    assert pairs(source)["sub-01"][1] == "sub-01_acq-mprage_T1w.nii.gz"
    assert "sub-01_acq-spgr_rec-norm_T1w.nii.gz" in source.remarks[0].text
    for options in (
        {"entities": {"t1w": {"acq": "spgr"}}},
        {"patterns": {"t1w": "*spgr*_T1w.nii*"}},
    ):
        assert "spgr" in pairs(BidsPairs(str(bids), **options))["sub-01"][1]
    chosen = BidsPairs(str(bids), entities={"t1w": {"run": 2}})
    assert list(pairs(chosen)) == ["sub-01"]
    assert "T1w.nii* with run-2" in chosen.index()[1][0].reason


def test_two_flairs_and_one_t1w_make_one_pair(bids: Path) -> None:
    anat = bids / "sub-01" / "anat"
    flair = (anat / "sub-01_FLAIR.nii.gz").read_bytes()
    (anat / "sub-01_run-2_FLAIR.nii.gz").write_bytes(flair)
    source = BidsPairs(str(bids))
    assert pairs(source)["sub-01"] == ("sub-01_FLAIR.nii.gz", "sub-01_T1w.nii.gz")
    assert "sub-01_run-2_FLAIR.nii.gz" in source.remarks[0].text
    chosen = BidsPairs(str(bids), patterns={"flair": "*_run-2_FLAIR.nii*"})
    assert pairs(chosen) == {"sub-01": ("sub-01_run-2_FLAIR.nii.gz", "sub-01_T1w.nii.gz")}


def test_another_contrast_as_source(bids: Path) -> None:
    move(bids, "sub-01", FLAIR="_T2w")
    move(bids, "sub-02", FLAIR="_acq-x_T2w", T1w="_acq-x_T1w")
    source = BidsPairs(str(bids), patterns={"flair": "*_T2w.nii*"})
    assert pairs(source) == {
        "sub-01": ("sub-01_T2w.nii.gz", "sub-01_T1w.nii.gz"),
        "sub-02": ("sub-02_acq-x_T2w.nii.gz", "sub-02_acq-x_T1w.nii.gz"),
    }


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("sub-05/ses-2", "sub-01_ses-2"),
        ("sub-05/ses-2", "sub-05_ses-3"),
        ("sub-05", "sub-05_ses-2"),
        ("sub-05", "sub-51"),
        ("sub-05a", "sub-05A"),
        ("sub-05", "patient5"),
    ],
)
def test_a_name_that_contradicts_its_folder_is_dropped(bids: Path, folder: str, name: str) -> None:
    anat = bids / folder / "anat"
    anat.mkdir(parents=True)
    for kind in ("FLAIR", "T1w"):
        source = bids / "sub-01" / "anat" / f"sub-01_{kind}.nii.gz"
        (anat / f"{name}_{kind}.nii.gz").write_bytes(source.read_bytes())
    entries, dropped = BidsPairs(str(bids)).index()
    assert [entry.name for entry in entries] == ["sub-01", "sub-02", "sub-03"]
    assert [item.name for item in dropped] == [folder.replace("/", "_")]
    assert f"got {name}_FLAIR.nii.gz" in dropped[0].reason


def test_a_misplaced_file_in_a_good_session_is_a_remark(bids: Path) -> None:
    anat = bids / "sub-02" / "anat"
    flair = bids / "sub-01" / "anat" / "sub-01_FLAIR.nii.gz"
    (anat / "sub-01_acq-x_FLAIR.nii.gz").write_bytes(flair.read_bytes())
    source = BidsPairs(str(bids))
    assert pairs(source)["sub-02"] == ("sub-02_FLAIR.nii.gz", "sub-02_T1w.nii.gz")
    assert [remark.item for remark in source.remarks] == ["sub-02"]
    assert "sub-01_acq-x_FLAIR.nii.gz" in source.remarks[0].text


def test_links_to_another_subject_are_dropped_links_elsewhere_are_not(
    bids: Path, tmp_path: Path
) -> None:
    (bids / "sub-04").symlink_to(bids / "sub-01")
    anat = bids / "sub-02" / "anat"
    (anat / "sub-02_FLAIR.nii.gz").unlink()
    (anat / "sub-02_FLAIR.nii.gz").symlink_to("../../sub-01/anat/sub-01_FLAIR.nii.gz")
    store = tmp_path / "store"
    (bids / "sub-03" / "anat" / "sub-03_T1w.nii.gz").rename(store)
    (bids / "sub-03" / "anat" / "sub-03_T1w.nii.gz").symlink_to(store)
    entries, dropped = BidsPairs(str(bids)).index()
    assert [entry.name for entry in entries] == ["sub-01", "sub-03"]
    reasons = {item.name: item.reason for item in dropped}
    assert "a link to a file of sub-01" in reasons["sub-02"]
    assert "sub-01_FLAIR.nii.gz" in reasons["sub-04"]


def test_subjects_that_differ_in_letter_case_archives_and_broken_links_are_named(
    bids: Path, write_pair
) -> None:
    for subject in ("sub-a1", "sub-A1", "Sub-09"):
        write_pair(bids, subject)
    (bids / "sub-17.zip").write_bytes(b"PK")
    (bids / "sub-18").symlink_to("/nowhere/at/all")
    (bids / "sub-list.txt").write_text("no subject")
    entries, dropped = BidsPairs(str(bids)).index()
    assert [entry.name for entry in entries] == ["sub-01", "sub-02", "sub-03"]
    reasons = {item.name: item.reason for item in dropped}
    assert set(reasons) == {"sub-a1", "sub-A1", "Sub-09", "sub-17.zip", "sub-18"}
    assert "differ in letter case only" in reasons["sub-A1"]
    assert "archive" in reasons["sub-17.zip"]


@pytest.mark.parametrize(
    ("kind", "name", "sidecar"),
    [
        ("synthetic", "_T1w", '{"Synthetic": true}'),
        ("synthetic", "_T1w", '{"Synthetic": "True"}'),
        ("synthetic", "_desc-synth_T1w", None),
        ("synthetic", "_rec-SynthSR_T1w", None),
        ("contrast_agent", "_ce-gad_T1w", None),
        ("contrast_agent", "_T1w", '{"ContrastBolusIngredient": "GADOLINIUM"}'),
        ("contrast_agent", "_T1w", '{"ContrastBolusVolume": 7.5}'),
        ("contrast_agent", "_acq-postGd_T1w", None),
        ("phase", "_part-phase_T1w", None),
    ],
)
def test_images_that_are_no_plain_scans_are_dropped_unless_asked_for(
    bids: Path, kind: str, name: str, sidecar: str | None
) -> None:
    move(bids, "sub-01", T1w=name)
    if sidecar is not None:
        (bids / "sub-01" / "anat" / f"sub-01{name}.json").write_text(sidecar)
    entries, dropped = BidsPairs(str(bids)).index()
    assert [entry.name for entry in entries] == ["sub-02", "sub-03"]
    assert f"allow=[{kind}]" in dropped[0].reason
    assert len(BidsPairs(str(bids), allow=[kind]).index()[0]) == 3
    if sidecar is None and "acq" not in name:
        asked = BidsPairs(str(bids), patterns={"t1w": f"*{name}.nii*"})
        assert list(pairs(asked)) == ["sub-01"]


def test_a_plain_t1w_goes_before_one_after_gadolinium(bids: Path) -> None:
    anat = bids / "sub-01" / "anat"
    (anat / "sub-01_ce-gad_T1w.nii.gz").write_bytes((anat / "sub-01_T1w.nii.gz").read_bytes())
    source = BidsPairs(str(bids))
    assert pairs(source)["sub-01"][1] == "sub-01_T1w.nii.gz"
    assert source.remarks == []
    with pytest.raises(UsageError, match="allow"):
        BidsPairs(str(bids), allow=["gadolinium"])


def test_faults_of_participants_are_remarks(bids: Path) -> None:
    table = "participant_id\tage\tsex\n01\t50\tF\nsub-02\t40\tM\nsub-02\t41\tM\n"
    (bids / "participants.tsv").write_bytes(table.encode("utf-16"))
    source = BidsPairs(str(bids))
    tags = {entry.name: entry.pair.tags for entry in source.index()[0]}
    assert tags == {"sub-01": {"age": 50.0, "sex": "F"}, "sub-02": {"sex": "M"}, "sub-03": {}}
    said = [remark.text for remark in source.remarks]
    assert ["UTF-16" in said[0], "several rows of sub-02" in said[1], len(said)] == [True, True, 2]


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


def test_two_files_of_one_name_are_a_remark(bids: Path) -> None:
    anat = bids / "sub-01" / "anat"
    (anat / "sub-01_T1w.nii").write_bytes((anat / "sub-01_T1w.nii.gz").read_bytes())
    source = BidsPairs(str(bids))
    assert len(source.index()[0]) == 3
    assert "not taken: sub-01_T1w.nii.gz" in source.remarks[0].text


def test_subjects_that_differ_in_leading_zeros_are_a_remark(bids: Path) -> None:
    shutil.copytree(bids / "sub-02", bids / "sub-2")
    source = BidsPairs(str(bids))
    source.index()
    assert "sub-02 and sub-2 differ in leading zeros" in source.remarks[0].text


@pytest.mark.parametrize("name", ["sub-", "sub-a\tb", "sub-a\nb", "sub-01/ses-"])
def test_labels_that_are_empty_or_break_a_table_are_dropped(bids: Path, name: str) -> None:
    (bids / name / "anat").mkdir(parents=True)
    dropped = BidsPairs(str(bids)).index()[1]
    assert any("label" in item.reason for item in dropped)


def test_a_contrast_of_the_visit_before(tmp_path: Path, write_pair) -> None:
    for session in ("ses-9", "ses-10"):
        write_pair(tmp_path, "sub-01", session)
    write_pair(tmp_path, "sub-02", "ses-1")
    known = {
        "contrasts": ("flair", "t1w", "t1wbefore"),
        "patterns": {"t1wbefore": "*_T1w.nii*"},
        "entities": {"t1wbefore": {"ses": "earlier"}},
    }
    entries, dropped = BidsPairs(str(tmp_path), **known).index()
    (entry,) = entries
    assert entry.name == "sub-01_ses-10"
    assert [path.parts[-3] for path in entry.pair.images.values()] == ["ses-10", "ses-10", "ses-9"]
    assert "Expected a visit before sub-01 ses-9 for t1wbefore, got none" in dropped[0].reason
    entries, dropped = BidsPairs(str(tmp_path), optional=["t1wbefore"], **known).index()
    assert [(entry.name, "t1wbefore" in entry.pair.images) for entry in entries] == [
        ("sub-01_ses-10", True),
        ("sub-01_ses-9", False),
        ("sub-02_ses-1", False),
    ]
    assert dropped == []
