from dataclasses import replace
from pathlib import Path

import pytest

from mrcontrast.data.manifest import Manifest
from mrcontrast.data.record import MANIFEST, Record
from mrcontrast.errors import MrcontrastError

NORMALISER = {"name": "percentile-0-99.5", "low": -3.25, "high": 812.0625, "clip": True}


def make_record(root: Path, subject: str, split: str, session: str | None = None) -> Record:
    stem = subject if session is None else f"{subject}_{session}"
    paths = [root / subject / f"{stem}_{kind}.nii.gz" for kind in ("FLAIR", "T1w", "mask")]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(stem.encode())
    return Record(
        subject=subject,
        session=session,
        split=split,
        site="here",
        images={"flair": paths[0], "t1w": paths[1]},
        brain_mask=paths[2],
        lesion_mask=None,
        labels=None,
        sha256={"flair": "a" + stem, "t1w": "b" + stem},
        shape=(64, 80, 56),
        spacing_mm=2.5,
        normalisers={"flair": NORMALISER, "t1w": NORMALISER},
        tags={"age": 53.0, "note": 'tab\tand "quote"'},
        measures={"brain_ml": 1.25},
        raw={
            "flair": root.with_name("raw set") / f"{stem}_FLAIR.nii.gz",
            "t1w": root.with_name("raw set") / f"{stem}_T1w.nii.gz",
        },
    )


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    records = [
        make_record(tmp_path, "sub-02", "test"),
        make_record(tmp_path, "sub-01", "train", "ses-1"),
        make_record(tmp_path, "sub-01", "train", "ses-2"),
    ]
    manifest = Manifest(records, tmp_path)
    manifest.write()
    return manifest


def edit(manifest: Manifest, old: str, new: str) -> Path:
    path = manifest.root / MANIFEST
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return manifest.root


def test_write_then_read_keeps_everything(manifest: Manifest) -> None:
    again = Manifest.read(manifest.root)
    assert again.records == manifest.records
    assert [record.name for record in again.records] == ["sub-01_ses-1", "sub-01_ses-2", "sub-02"]
    assert (again.data_hash, again.split_hash) == (manifest.data_hash, manifest.split_hash)


def test_a_moved_data_set_still_reads(manifest: Manifest, tmp_path: Path) -> None:
    moved = tmp_path.with_name(tmp_path.name + "-moved")
    tmp_path.rename(moved)
    assert Manifest.read(moved).records[0].images["flair"].is_relative_to(moved)
    assert Manifest.read(moved).data_hash == manifest.data_hash


def test_sources_need_not_be_there_and_do_not_count(manifest: Manifest) -> None:
    record = Manifest.read(manifest.root).records[0]
    assert record.raw.get("flair").is_absolute()
    assert not record.raw.get("flair").exists()
    assert record.raw.get("mask") is None
    phantoms = Manifest([replace(record, raw={}) for record in manifest.records], manifest.root)
    assert phantoms.data_hash == manifest.data_hash
    phantoms.write()
    assert Manifest.read(manifest.root).records == phantoms.records


def test_a_data_set_from_before_the_sources_reads(manifest: Manifest) -> None:
    path = manifest.root / MANIFEST
    rows = [line.split("\t")[:-3] for line in path.read_text().splitlines()]
    path.write_text("\n".join("\t".join(row) for row in rows) + "\n")
    again = Manifest.read(manifest.root)
    assert {record.raw.get("flair") for record in again.records} == {None}
    assert again.data_hash == manifest.data_hash


def test_split(manifest: Manifest) -> None:
    assert [record.subject for record in manifest.split("train")] == ["sub-01", "sub-01"]
    assert manifest.split("val") == []
    with pytest.raises(MrcontrastError, match="holdout"):
        manifest.split("holdout")


def test_hashes_see_what_they_should(manifest: Manifest) -> None:
    first, *others = manifest.records
    changed = Manifest([replace(first, sha256=first.sha256 | {"t1w": "c"}), *others], manifest.root)
    assert changed.data_hash != manifest.data_hash
    assert changed.split_hash == manifest.split_hash
    moved = [replace(record, split="val") for record in manifest.split("train")]
    other_side = Manifest([*moved, *manifest.split("test")], manifest.root)
    assert other_side.data_hash == manifest.data_hash
    assert other_side.split_hash != manifest.split_hash


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\tses-2\ttrain\t", "\tses-2\ttest\t", "sub-01 in train and test"),
        ("\tses-2\ttrain\t", "\tses-1\ttrain\t", "sub-01_ses-1 twice"),
        ("\tses-2\ttrain\t", "\tses-2\tholdout\t", '"holdout" for sub-01_ses-2'),
        ("sub-02_FLAIR.nii.gz", "sub-02_flair.nii.gz", "flair of sub-02, got no file"),
        ("64x80x56", "64x80", "cannot be read"),
        ("64x80x56", "64x80x64", "one grid for all"),
        ('{"clip"', '{clip"', "cannot be read"),
        ("\t2.5\t", "\tn/a\t", "spacing_mm is n/a"),
        ("sha256_t1w\t", "sha_t1w\t", "sha256_t1w"),
    ],
)
def test_a_hand_edited_fault_is_named(manifest: Manifest, old: str, new: str, message: str) -> None:
    with pytest.raises(MrcontrastError, match=message) as caught:
        Manifest.read(edit(manifest, old, new))
    assert MANIFEST in str(caught.value)


@pytest.mark.parametrize("characters", [5, 400])
def test_a_row_cut_short_is_named(manifest: Manifest, characters: int) -> None:
    path = manifest.root / MANIFEST
    path.write_text(path.read_text()[:-characters])
    with pytest.raises(MrcontrastError, match="cannot be read"):
        Manifest.read(manifest.root)


def test_no_manifest_and_an_empty_one(tmp_path: Path, manifest: Manifest) -> None:
    with pytest.raises(MrcontrastError, match="mrcontrast prepare"):
        Manifest.read(tmp_path / "elsewhere")
    header = (manifest.root / MANIFEST).read_text().splitlines()[0]
    (manifest.root / MANIFEST).write_text(header + "\n")
    with pytest.raises(MrcontrastError, match="at least one session, got none"):
        Manifest.read(manifest.root)


def test_spacings_that_differ_by_rounding_are_one_grid(tmp_path: Path) -> None:
    records = [make_record(tmp_path, f"sub-{i}", "train") for i in range(3)]
    records[1] = replace(records[1], spacing_mm=2.5 + 1e-9)
    Manifest([*records[:2], replace(records[2], spacing_mm=2.5015)], tmp_path)
    with pytest.raises(MrcontrastError, match="one grid for all"):
        Manifest([*records[:2], replace(records[2], spacing_mm=2.503)], tmp_path)
    with pytest.raises(MrcontrastError, match="one grid for all"):
        Manifest([*records[:2], replace(records[2], shape=(64, 80, 57))], tmp_path)


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("flair", "/etc/passwd"),
        ("t1w", "../outside.nii.gz"),
        ("brain_mask", "sub-01/../../outside.nii.gz"),
        ("labels", "/dev/zero"),
        ("subject", "../../sub-01"),
        ("subject", "/tmp/sub-01"),
        ("subject", ".."),
        ("session", "ses-1/../.."),
        ("session", "ses\\1"),
    ],
)
def test_a_row_cannot_lead_out_of_the_data_set(manifest: Manifest, column: str, cell: str) -> None:
    path = manifest.root / MANIFEST
    head, first, *rest = path.read_text().splitlines()
    cells = dict(zip(head.split("\t"), first.split("\t"), strict=True)) | {column: cell}
    path.write_text("\n".join([head, "\t".join(cells.values()), *rest]) + "\n")
    with pytest.raises(MrcontrastError, match=r"leads out of the data set|is no name"):
        Manifest.read(manifest.root)


def test_a_contrast_that_no_session_has_is_refused(tmp_path: Path) -> None:
    manifest = Manifest([make_record(tmp_path, "sub-01", "train")], tmp_path)
    with pytest.raises(MrcontrastError, match="a session with pd, got none"):
        manifest.facts(["flair", "pd"], "t1w", ["pd"])
