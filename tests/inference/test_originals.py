"""The raw files behind a prepared data set, and the brain that all methods share."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mrcontrast.data.record import Record
from mrcontrast.errors import MrcontrastError
from mrcontrast.inference.originals import originals, write_masks
from mrcontrast.storage.files import sha256_file
from mrcontrast.storage.volume import Volume, read_mask, read_volume, write_labels, write_volume

PAIR = ("flair", "t1w")
AFFINE = np.array([[-2.0, 0, 0, 20], [0, 3, 0, -30], [0, 0, 4, -25], [0, 0, 0, 1]])


@pytest.fixture
def raw(tmp_path: Path, tiny_records: list[Record]) -> list[Record]:
    """Two records with raw files: the first has a mask of its own, the second has none."""
    records = []
    for index, record in enumerate(tiny_records[:2]):
        flair = np.zeros((12, 14, 10), np.float32)
        flair[3:9, 4:11, 2:8] = 50 + index
        t1w = np.full_like(flair, 7)  # not stripped: its own non-zero voxels are no brain
        paths = {kind: tmp_path / "raw" / f"{record.name}_{kind}.nii.gz" for kind in ("f", "t")}
        write_volume(paths["f"], Volume(flair, AFFINE))
        write_volume(paths["t"], Volume(t1w, AFFINE))
        records.append(replace(record, raw={"flair": paths["f"], "t1w": paths["t"]}))
    own = np.zeros((12, 14, 10))
    own[4:6, 4:6, 4:6] = 1
    write_labels(tmp_path / "raw" / "brain.nii.gz", own, AFFINE)
    records[0] = replace(
        records[0], raw=records[0].raw | {"mask": tmp_path / "raw" / "brain.nii.gz"}
    )
    return records


def test_masks_come_with_the_files_or_from_the_flair(tmp_path: Path, raw: list[Record]) -> None:
    before = {path: sha256_file(path) for path in (tmp_path / "raw").iterdir()}
    (written,) = write_masks(raw, tmp_path / "masks")
    assert list((tmp_path / "masks").iterdir()) == [written]
    found = originals(raw, tmp_path / "masks", PAIR)
    assert [item.mask for item in found] == [raw[0].raw["mask"], written]
    mask = read_mask(written, read_volume(raw[1].raw["t1w"]), raw[1].raw["t1w"])
    assert np.array_equal(mask, read_volume(raw[1].raw["flair"]).data > 0)
    assert {path: sha256_file(path) for path in (tmp_path / "raw").iterdir()} == before


def test_a_head_with_its_skull_is_no_brain(tmp_path: Path, raw: list[Record]) -> None:
    head = np.zeros((12, 14, 10), np.float32)
    head[1:11, 1:13, 1:9] = 50  # on a background of zeros, 15 mm voxels
    path = raw[1].raw["flair"]
    assert path is not None
    write_volume(path, Volume(head, np.diag([15.0, 15, 15, 1])))
    with pytest.raises(MrcontrastError, match=r"skull-stripped volume, got 3240 ml .*sub-02_f"):
        write_masks(raw, tmp_path / "masks")
    assert not list((tmp_path / "masks").iterdir())


def test_jobs_read_the_contrast_that_a_model_takes(tmp_path: Path, raw: list[Record]) -> None:
    write_masks(raw, tmp_path / "masks")
    item = originals(raw, tmp_path / "masks", PAIR)[1]
    jobs = {kind: item.job([kind], "t2w", tmp_path / "out", 3) for kind in PAIR}
    assert jobs["flair"].source == raw[1].raw["flair"]
    assert jobs["t1w"].source == raw[1].raw["t1w"]
    assert {job.mask for job in jobs.values()} == {item.mask}
    assert jobs["flair"].output == tmp_path / "out" / "sub-02_desc-synth_T2w.nii.gz"
    assert not jobs["flair"].prepared


def test_a_phantom_has_no_raw_files(tmp_path: Path, tiny_records: list[Record]) -> None:
    assert write_masks(tiny_records, tmp_path / "masks") == []
    with pytest.raises(MrcontrastError, match=r"raw flair of sub-01 .* leave full_grid out"):
        originals(tiny_records, tmp_path / "masks", PAIR)


def test_what_has_gone_is_named(tmp_path: Path, raw: list[Record]) -> None:
    with pytest.raises(MrcontrastError, match=r"sub-02_desc-brain_mask"):
        originals(raw, tmp_path / "masks", PAIR)
    raw[0].raw["t1w"].unlink()
    with pytest.raises(MrcontrastError, match=r"sub-01_t\.nii\.gz"):
        originals(raw, tmp_path / "masks", PAIR)


def test_a_head_is_no_brain(tmp_path: Path, raw: list[Record]) -> None:
    whole = replace(raw[1], raw=raw[1].raw | {"flair": raw[1].raw["t1w"]})
    with pytest.raises(MrcontrastError, match=r"skull-stripped.*sub-02_t\.nii\.gz"):
        write_masks([whole], tmp_path / "masks")


def test_a_head_on_a_background_of_zeros_is_no_brain(tmp_path: Path, raw: list[Record]) -> None:
    flair = read_volume(raw[1].raw["flair"])  # 252 voxels that are not zero
    write_volume(raw[1].raw["flair"], Volume(flair.data, np.diag([22.0, 22, 22, 1])))
    with pytest.raises(MrcontrastError, match=r"got 2683 ml.*sub-02_f\.nii\.gz"):
        write_masks(raw, tmp_path / "masks")
