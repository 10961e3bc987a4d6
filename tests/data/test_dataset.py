from pathlib import Path

import numpy as np
import pytest
import torch

from mrcontrast.data.dataset import (
    ItemOptions,
    RandomPatchDataset,
    SliceDataset,
    VolumeDataset,
    collate,
)
from mrcontrast.data.record import Record
from mrcontrast.data.volume_store import VolumeStore, open_store
from mrcontrast.errors import UsageError
from mrcontrast.storage.volume import read_volume


@pytest.fixture(scope="module")
def store(tiny_records: list[Record], tmp_path_factory: pytest.TempPathFactory) -> VolumeStore:
    return open_store(tiny_records, tmp_path_factory.mktemp("store"), ["flair", "t1w"])


@pytest.fixture(scope="module")
def subjects(tiny_records: list[Record]) -> list[str]:
    return [record.name for record in tiny_records]


def test_slice_is_the_axial_slice_of_the_file(
    store: VolumeStore, subjects: list[str], tiny_records: list[Record]
) -> None:
    items = SliceDataset(store, subjects)
    record, z = items.index[17]
    item = items[17]
    files = tiny_records[record].files
    for key, name in {"source": "flair", "target": "t1w", "brain_mask": "brain_mask"}.items():
        expected = read_volume(files[name]).data[None, :, :, z]
        np.testing.assert_allclose(item[key].numpy(), expected, atol=2.5e-4)
        assert item[key].dtype == torch.float32
    assert item["subject"] == subjects[record]
    assert item["item"] == 17


def test_only_slices_with_enough_brain_are_items(store: VolumeStore, subjects: list[str]) -> None:
    expected = [
        (record, z)
        for record in range(6)
        for z in range(24)
        if (store[record][2, :, :, z] > 0).mean() >= 0.3
    ]
    assert SliceDataset(store, subjects, min_brain_fraction=0.3).index == expected
    every = SliceDataset(store, subjects, min_brain_fraction=0.0)
    assert len(expected) < len(every) < 6 * 24  # empty slices stay out even then
    assert all(item["brain_mask"].any() for item in map(every.__getitem__, range(len(every))))


def test_context_slices_are_the_neighbours(store: VolumeStore, subjects: list[str]) -> None:
    items = SliceDataset(store, subjects, context_slices=2)
    record, z = items.index[9]
    flair = items[9]["source"]
    assert flair.shape == (5, 32, 40)
    volume = np.asarray(store[record][0], np.float32)
    for channel, neighbour in enumerate(range(z - 2, z + 3)):
        np.testing.assert_array_equal(flair[channel].numpy(), volume[:, :, neighbour])
    assert items[9]["target"].shape == (1, 32, 40)


def test_several_sources_stand_one_after_the_other(tmp_path: Path) -> None:
    slices = np.zeros((4, 5, 4, 6), np.float16)  # (Z, channel, X, Y): three sources
    slices[:] = 10 * np.arange(5).reshape(5, 1, 1) + np.arange(4).reshape(4, 1, 1, 1)
    np.save(tmp_path / "a.npy", slices)
    np.save(tmp_path / "a.area.npy", np.full(4, 24))
    store = VolumeStore([tmp_path / "a.npy"])
    slab = SliceDataset(store, ["sub-01"], context_slices=1)[1]
    assert slab["source"][:, 0, 0].tolist() == [0, 1, 2, 10, 11, 12, 20, 21, 22]
    assert [slab[key][:, 0, 0].tolist() for key in ("target", "brain_mask")] == [[31], [41]]
    plain = SliceDataset(store, ["sub-01"])[2]
    assert plain["source"][:, 0, 0].tolist() == [2, 12, 22]
    volume = VolumeDataset(store, ["sub-01"])[0]
    assert volume["source"].shape == (3, 4, 6, 4)
    assert volume["source"][:, 0, 0, 3].tolist() == [3, 13, 23]
    assert (volume["target"].min(), volume["target"].max()) == (30, 33)


def test_context_repeats_the_last_slice(tmp_path: Path) -> None:
    slices = np.zeros((3, 3, 4, 5), np.float16)  # (Z, channel, X, Y)
    slices[:, 0] = np.arange(3).reshape(3, 1, 1)
    slices[:, 2] = 1
    np.save(tmp_path / "a.npy", slices)
    np.save(tmp_path / "a.area.npy", np.full(3, 20))
    items = SliceDataset(VolumeStore([tmp_path / "a.npy"]), ["sub-01"], context_slices=2)
    assert items[0]["source"][:, 0, 0].tolist() == [0, 0, 0, 1, 2]
    assert items[2]["source"][:, 0, 0].tolist() == [0, 1, 2, 2, 2]


def test_context_repeats_the_last_slice_that_was_scanned(tmp_path: Path) -> None:
    """Padding beyond the field of view is no neighbour; the slice itself always is."""
    slices = np.zeros((6, 3, 4, 5), np.float16)
    slices[:, 0] = np.arange(6).reshape(6, 1, 1)
    slices[:, 2] = 1
    np.save(tmp_path / "a.npy", slices)
    np.save(tmp_path / "a.area.npy", np.full(6, 20))
    store = VolumeStore([tmp_path / "a.npy"])
    items = SliceDataset(store, ["sub-01"], context_slices=1, scanned=[(1, 3)])
    found = [items[z]["source"][:, 0, 0].tolist() for z in range(6)]
    assert found[1:4] == [[1, 1, 2], [1, 2, 3], [2, 3, 3]]
    assert [slab[1] for slab in found] == list(range(6))


def test_volume_is_the_file(
    store: VolumeStore, subjects: list[str], tiny_records: list[Record]
) -> None:
    item = VolumeDataset(store, subjects)[3]
    expected = read_volume(tiny_records[3].images["t1w"]).data[None]
    assert item["target"].shape == (1, 32, 40, 24)
    np.testing.assert_allclose(item["target"].numpy(), expected, atol=2.5e-4)


def test_patch_around_the_middle_stays(store: VolumeStore, subjects: list[str]) -> None:
    items = VolumeDataset(store, subjects, patch_size=[16, 24, 8])
    first, second = items[2], items[2]
    assert first["source"].shape == (1, 16, 24, 8)
    assert torch.equal(first["source"], second["source"])
    assert first["brain_mask"].mean() > 0.9


def test_random_patches_centre_on_brain_and_cover_it(
    store: VolumeStore, subjects: list[str]
) -> None:
    items = RandomPatchDataset(store, subjects, patch_size=[8, 10, 6])
    torch.manual_seed(0)
    centres = np.array([items.centre(1) for _ in range(300)])
    brain = store[1][2] > 0
    assert brain[tuple(centres.T)].all()
    spread = np.array([np.ptp(axis) for axis in np.nonzero(brain)])
    assert (np.ptp(centres, axis=0) > 0.7 * spread).all()
    np.testing.assert_allclose(centres.mean(axis=0), np.argwhere(brain).mean(axis=0), atol=2)
    assert {items[1]["target"].shape for _ in range(20)} == {(1, 8, 10, 6)}


def test_random_patches_repeat_with_the_seed(store: VolumeStore, subjects: list[str]) -> None:
    items = RandomPatchDataset(store, subjects, patch_size=[8, 10, 6])
    draws = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        draws.append(items[0]["source"])
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


@pytest.mark.parametrize("patch_size", [[33, 8, 8], [8, 8]])
def test_patch_that_does_not_fit_is_refused(
    store: VolumeStore, subjects: list[str], patch_size: list[int]
) -> None:
    with pytest.raises(UsageError, match=r"patch_size within \(32, 40, 24\).*sub-01"):
        VolumeDataset(store, subjects, patch_size=patch_size)


def test_collate_stacks(store: VolumeStore, subjects: list[str]) -> None:
    items = SliceDataset(store, subjects)
    batch = collate([items[4], items[40]])
    assert batch["source"].shape == (2, 1, 32, 40)
    assert torch.equal(batch["target"][1], items[40]["target"])
    assert batch["subject"] == [items[4]["subject"], items[40]["subject"]]
    assert batch["item"].tolist() == [4, 40]
    assert batch["item"].dtype == torch.int64


@pytest.mark.parametrize("options", [{"min_brain_fraction": 1.5}, {"max_val_items": 0}])
def test_options_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="Expected m"):
        ItemOptions(**options)
