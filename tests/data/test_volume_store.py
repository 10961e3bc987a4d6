import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from mrcontrast.data import volume_store
from mrcontrast.data.manifest import Manifest
from mrcontrast.data.record import Record
from mrcontrast.data.volume_store import open_store, record_key, store_folder
from mrcontrast.errors import MrcontrastError
from mrcontrast.storage.files import sha256_file
from mrcontrast.storage.volume import Volume, read_volume, write_volume

PAIR = ("flair", "t1w")


def middle_value(store: volume_store.VolumeStore) -> float:
    return float(store[0][0, 16, 20, 12])


def test_store_holds_the_voxels_of_the_files(tiny_records: list[Record], tmp_path: Path) -> None:
    store = open_store(tiny_records, tmp_path, PAIR)
    assert len(store) == 6
    for record, array in zip(tiny_records, store, strict=True):
        assert array.shape == (3, 32, 40, 24)
        files = (record.images["flair"], record.images["t1w"], record.brain_mask)
        for channel, path in enumerate(files):
            np.testing.assert_allclose(array[channel], read_volume(path).data, atol=2.5e-4)


def test_brain_area_counts_the_mask_of_each_slice(
    tiny_records: list[Record], tmp_path: Path
) -> None:
    store = open_store(tiny_records, tmp_path, PAIR)
    mask = read_volume(tiny_records[1].brain_mask).data
    np.testing.assert_array_equal(store.brain_area(1), mask.sum(axis=(0, 1)))


def test_second_opening_reads_no_volume(
    tiny_records: list[Record], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_store(tiny_records, tmp_path, PAIR)
    monkeypatch.setattr(volume_store, "read_volume", lambda path: pytest.fail("read again"))
    assert middle_value(open_store(tiny_records, tmp_path, PAIR)) > 0


def test_key_changes_with_voxels_and_version(
    tiny_records: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    record = tiny_records[0]
    assert record_key(record, PAIR) == record_key(replace(record, subject="sub-99"), PAIR)
    other = {record_key(replace(record, sha256=record.sha256 | {"t1w": "0" * 64}), PAIR)}
    other.add(record_key(replace(record, brain_mask=tiny_records[1].brain_mask), PAIR))
    monkeypatch.setattr(volume_store, "STORE_VERSION", 99)
    other.add(record_key(record, PAIR))
    monkeypatch.undo()
    other.add(record_key(record, PAIR[::-1]))
    assert len(other) == 4
    assert record_key(record, PAIR) not in other


def test_changed_volume_is_refused(make_root: Callable[..., Path], tmp_path: Path) -> None:
    record = Manifest.read(make_root("train", "test")).records[0]
    volume = read_volume(record.images["flair"])
    write_volume(record.images["flair"], Volume(volume.data * 0.5, volume.affine))
    assert sha256_file(record.images["flair"]) != record.sha256["flair"]
    with pytest.raises(MrcontrastError, match=r"sub-01_FLAIR.*Prepare the data set again"):
        open_store([record], tmp_path / "store", PAIR)


def test_folder_that_is_a_file_is_one_line(tiny_records: list[Record], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MrcontrastError, match="MRCONTRAST_CACHE") as caught:
        open_store(tiny_records, tmp_path / "file", PAIR)
    assert "\n" not in str(caught.value)


def test_several_processes_make_one_store(tiny_records: list[Record], tmp_path: Path) -> None:
    with ProcessPoolExecutor(3, mp_context=get_context("fork")) as pool:
        futures = [pool.submit(open_store, tiny_records, tmp_path, PAIR) for _ in range(3)]
        values = {middle_value(future.result()) for future in futures}
    assert len(values) == 1
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".npy"] * 12


def test_pickle_carries_no_voxels(tiny_records: list[Record], tmp_path: Path) -> None:
    store = open_store(tiny_records, tmp_path, PAIR)
    value = middle_value(store)
    pickled = pickle.dumps(store)
    assert len(pickled) < 4000
    assert middle_value(pickle.loads(pickled)) == value


def test_open_maps_are_bounded(
    tiny_records: list[Record], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(volume_store, "MOST_OPEN_FILES", 2)
    store = open_store(tiny_records, tmp_path, PAIR)
    values = [float(array.sum(dtype=np.float64)) for array in store]
    assert len(store._maps) == 2
    assert float(store[0].sum(dtype=np.float64)) == values[0]


def test_writing_to_an_array_leaves_the_file(tiny_records: list[Record], tmp_path: Path) -> None:
    store = open_store(tiny_records, tmp_path, PAIR)
    value = middle_value(store)
    store[0][...] = 9
    assert middle_value(open_store(tiny_records, tmp_path, PAIR)) == value


def test_store_lies_in_the_data_set_or_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MRCONTRAST_CACHE", raising=False)
    assert store_folder(Path("data")) == Path("data/.store")
    monkeypatch.setenv("MRCONTRAST_CACHE", "fast")
    assert store_folder(Path("data")) == Path("fast/store")
