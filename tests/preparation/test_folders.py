from pathlib import Path

import pytest

from mrcontrast.errors import UsageError
from mrcontrast.preparation.folders import FolderPairs
from mrcontrast.storage.volume import read_volume, write_volume

PATTERNS = {"flair": "f/{subject}.nii.gz", "t1w": "t/{subject}.nii.gz"}


def copy(bids: Path, target: Path, subject: str, kind: str) -> None:
    write_volume(target, read_volume(bids / subject / "anat" / f"{subject}_{kind}.nii.gz"))


@pytest.mark.parametrize(
    ("flair", "t1w"),
    [
        ("flair/{subject}.nii.gz", "t1w/{subject}.nii.gz"),
        ("{subject}/FLAIR.nii.gz", "{subject}/T1w.nii.gz"),
        ("{subject}/{subject}_flair.nii.gz", "{subject}/{subject}_t1.nii.gz"),
        ("set (a)/f_{subject}.nii.gz", "set (a)/t_{subject}.nii.gz"),
    ],
)
def test_patterns(tmp_path: Path, bids: Path, flair: str, t1w: str) -> None:
    raw = tmp_path / "raw"
    for subject, name in (("sub-01", "patient_07"), ("sub-02", "sub-8")):
        copy(bids, raw / flair.replace("{subject}", name), subject, "FLAIR")
        copy(bids, raw / t1w.replace("{subject}", name), subject, "T1w")
    entries, dropped = FolderPairs(str(raw), {"flair": flair, "t1w": t1w}).index()
    assert dropped == []
    assert [entry.name for entry in entries] == ["sub-patient07", "sub-8"]
    assert entries[0].pair.load().tags == {"source_name": "patient_07"}
    assert entries[0].site == "raw"
    expected = {"flair": raw / flair.replace("{subject}", "patient_07")}
    expected["t1w"] = raw / t1w.replace("{subject}", "patient_07")
    assert entries[0].pair.load().sources == expected


def test_a_missing_file_of_any_pattern_is_dropped(tmp_path: Path, bids: Path) -> None:
    raw = tmp_path / "raw"
    for subject in ("sub-01", "sub-02"):
        copy(bids, raw / "f" / f"{subject}.nii.gz", subject, "FLAIR")
    copy(bids, raw / "t" / "sub-01.nii.gz", "sub-01", "T1w")
    copy(bids, raw / "t" / "sub-03.nii.gz", "sub-03", "T1w")
    source = FolderPairs(str(raw), PATTERNS)
    entries, dropped = source.index()
    assert [entry.name for entry in entries] == ["sub-01"]
    assert str(raw / "t" / "sub-02.nii.gz") in dropped[0].reason
    assert str(raw / "f" / "sub-03.nii.gz") in dropped[1].reason
    masked = FolderPairs(str(raw), PATTERNS | {"brain_mask": "m/{subject}.nii.gz"})
    assert masked.index()[0] == []


@pytest.mark.parametrize("pattern", ["flair.nii.gz", "/abs/{subject}.nii.gz"])
def test_patterns_that_cannot_work(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(UsageError, match="relative pattern"):
        FolderPairs(str(tmp_path), PATTERNS | {"flair": pattern})


def test_sessions_stand_beside_the_subject(tmp_path: Path, bids: Path) -> None:
    raw = tmp_path / "raw"
    for visit in ("000", "001"):
        for kind, ours in (("FLAIR", "t2f"), ("T1w", "t1n")):
            name = f"BraTS-GLI-00007-{visit}"
            copy(bids, raw / name / f"{name}-{ours}.nii.gz", "sub-01", kind)
    pattern = "{subject}-{session}/{subject}-{session}-"
    patterns = {"flair": f"{pattern}t2f.nii.gz", "t1w": f"{pattern}t1n.nii.gz"}
    entries, dropped = FolderPairs(str(raw), patterns).index()
    assert dropped == []
    assert [entry.name for entry in entries] == [
        "sub-BraTSGLI00007_ses-000",
        "sub-BraTSGLI00007_ses-001",
    ]
    assert {entry.pair.tags["source_name"] for entry in entries} == {"BraTS-GLI-00007"}


def test_another_ending_is_named(tmp_path: Path, bids: Path) -> None:
    raw = tmp_path / "raw"
    copy(bids, raw / "f" / "a.nii.gz", "sub-01", "FLAIR")
    (raw / "t").mkdir()
    (raw / "t" / "a.dcm").write_bytes(b"x")
    (raw / "f" / "b.nii.txt").write_bytes(b"x")
    entries, dropped = FolderPairs(str(raw), PATTERNS).index()
    assert entries == []
    assert [item.name for item in dropped] == ["sub-a", "sub-b"]
    assert "but a.dcm" in dropped[0].reason
    assert "but b.nii.txt" in dropped[1].reason


def test_two_names_of_one_label_are_both_named(tmp_path: Path, bids: Path) -> None:
    raw = tmp_path / "raw"
    for name in ("p_1", "p1", "p2"):
        copy(bids, raw / "f" / f"{name}.nii.gz", "sub-01", "FLAIR")
        copy(bids, raw / "t" / f"{name}.nii.gz", "sub-01", "T1w")
    entries, dropped = FolderPairs(str(raw), PATTERNS).index()
    assert [entry.name for entry in entries] == ["sub-p2"]
    assert len(dropped) == 2
    assert "p1, p_1" in dropped[0].reason


def test_what_is_no_image_makes_no_subject(tmp_path: Path, bids: Path) -> None:
    raw = tmp_path / "raw"
    for name in ("1.2.840.1", "1.2.840.2", "p3"):
        copy(bids, raw / "f" / f"{name}.nii.gz", "sub-01", "FLAIR")
        copy(bids, raw / "t" / f"{name}.nii.gz", "sub-01", "T1w")
    for stray in ("Thumbs.db", ".DS_Store", "._p3.nii.gz", "desktop.ini", "readme.txt"):
        (raw / "f" / stray).write_bytes(b"x")
    copy(bids, raw / ".cache" / "FLAIR.nii.gz", "sub-01", "FLAIR")
    patterns = {"flair": "{subject}/FLAIR.nii.gz", "t1w": "{subject}/T1w.nii.gz"}
    assert FolderPairs(str(raw), patterns).index()[1] == []
    source = FolderPairs(str(raw), PATTERNS)
    entries, dropped = source.index()
    assert dropped == []
    assert [entry.name for entry in entries] == ["sub-128401", "sub-128402", "sub-p3"]
    (raw / "t" / "1.2.840.2.nii.gz").rename(raw / "t" / "1.2.840.2.nii")
    entries, dropped = source.index()
    assert [item.name for item in dropped] == ["sub-128402"]
    assert dropped[0].reason.endswith(", but 1.2.840.2.nii.")
