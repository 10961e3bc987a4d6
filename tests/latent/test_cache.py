"""The latent cache: built once, for one set of facts, whole or not at all, equal to encoding."""

import errno
import json
import os
import pickle
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.transforms import Lambdad, RandAffined, RandFlipd
from tests.stages.conftest import latents, make_codec, make_regressor, pixels
from torch.utils.data import DataLoader

from mrcontrast.data.datamodule import ContrastDataModule
from mrcontrast.data.manifest import Manifest
from mrcontrast.errors import MrcontrastError
from mrcontrast.latent.cache import LatentDataset, LatentStore, name_of
from mrcontrast.latent.codec import LatentStatistics, Posterior
from mrcontrast.latent.signals import Pixels, RegressionAnchor
from mrcontrast.storage.volume import read_volume, write_labels
from toy.runs import end_of, in_child

LATENTS = ("target_mean", "target_sigma")
KEYS = ["source", "target", "brain_mask"]
PIXELS = pixels()


def augmentation(prob=0.5):
    turned = RandAffined(KEYS, prob=1.0, rotate_range=0.1, padding_mode="zeros")
    return [RandFlipd(KEYS, prob=prob, spatial_axis=0), turned]


def make_data(root, dims=2, augmented=True, **options):
    transforms = augmentation() if augmented else None
    defaults = {
        "source": ["flair"],
        "target": "t1w",
        "spatial_dims": dims,
        "batch_size": 4,
        "augmentation": transforms,
    }
    return ContrastDataModule(str(root), **(defaults | options))


class Spy:
    """Counts how many items a codec encodes, and may fail or dawdle on the way."""

    def __init__(self, codec, at=None, action=None, seconds=0.0):
        self.items, self.at, self.action, self.seconds = 0, at, action, seconds
        self.moments, codec.moments = codec.moments, self

    def __call__(self, image):
        if self.at is not None and self.items >= self.at:
            self.action()
        time.sleep(self.seconds)
        self.items += len(image)
        return self.moments(image)


def installed(root, folder, codec, condition=None, variants=1, **options):
    """Return a data module that serves cached latents."""
    module = make_data(root, **options)
    LatentStore(str(folder), variants, batch_size=8).install(module, codec, condition)
    return module


def only_cache(folder):
    (found,) = [path for path in folder.iterdir() if path.is_dir()]
    return found


@pytest.mark.parametrize("dims", [2, 3])
def test_cached_latents_are_those_of_direct_encoding(prepared_root, tmp_path, dims):
    codec = make_codec(dims)
    module = installed(prepared_root, tmp_path, codec, condition=PIXELS, variants=2, dims=dims)
    expected = [item for index in range(2) for item in module.variant(index)]
    assert len(module.train_items) == len(expected) == 2 * len(module.plain_items)
    for cached, item in zip(module.train_items, expected, strict=True):
        direct = codec.moments(item["target"][None])
        torch.testing.assert_close(cached["target_mean"], direct.mean[0], rtol=0, atol=1e-5)
        torch.testing.assert_close(cached["target_sigma"], direct.sigma[0], rtol=0, atol=1e-5)
        torch.testing.assert_close(cached["source"], item["source"], rtol=0, atol=2.5e-4)


def test_flair_belongs_to_the_item_and_variant_beside_it(prepared_root, tmp_path):
    module = installed(prepared_root, tmp_path, make_codec(2), condition=PIXELS, variants=2)
    count = len(module.plain_items)
    first, second = module.train_items[3]["source"], module.train_items[count + 3]["source"]
    assert torch.equal(first, module.plain_items[3]["source"])  # half precision is the store's own
    drawn = module.variant(1)[3]["source"]
    torch.testing.assert_close(second, drawn, rtol=0, atol=2.5e-4)
    assert (first - drawn).abs().max() > 0.02


def test_draws_from_the_cache_have_the_statistics_of_direct_draws(prepared_root, tmp_path):
    codec = make_codec(2)
    module = installed(prepared_root, tmp_path, codec)
    cached, direct = LatentStatistics(), LatentStatistics()
    for item in module.plain_items:
        direct.update(codec.moments(item["target"][None]))
    posterior = Posterior(
        *(torch.stack([item[name] for item in module.train_items]) for name in LATENTS)
    )
    cached.update(posterior)
    for ours, theirs in zip(cached.compute(), direct.compute(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    torch.manual_seed(0)
    drawn = torch.cat([posterior.sample() for _ in range(4)])
    mean, std = direct.compute()
    torch.testing.assert_close(drawn.mean((0, 2, 3)), mean, rtol=0, atol=0.02)
    torch.testing.assert_close(drawn.std((0, 2, 3)), std, rtol=0, atol=0.02)


def test_it_is_built_once(prepared_root, tmp_path):
    codec = make_codec(2)
    spy = Spy(codec)
    count = len(installed(prepared_root, tmp_path, codec, variants=2).train_items)
    assert spy.items == count
    installed(prepared_root, tmp_path, codec, variants=2)
    assert spy.items == count
    batch = next(iter(installed(prepared_root, tmp_path, codec, variants=2).train_dataloader()))
    assert set(batch) == {*LATENTS, "tags"}
    codec.posterior(batch)
    assert spy.items == count


def test_a_build_leaves_the_random_numbers_of_training_alone(prepared_root, tmp_path):
    codec = make_codec(2)
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    installed(prepared_root, tmp_path, codec, variants=2)
    assert torch.equal(torch.rand(3), expected)


def key_of(store, module, codec, signal=None):
    return name_of(store.facts(module, codec, signal))


def test_the_key_is_that_of_all_facts(prepared_root, tmp_path):
    codec, other, wider = make_codec(2), make_codec(2), make_codec(2)
    regressor, other_regressor = make_regressor(2), make_regressor(2)
    next(other_regressor.parameters()).data += 1e-6
    with torch.no_grad():
        next(other.autoencoder.parameters()).view(-1)[0] += 1e-6
    wider.latent_multiple = 4
    grouped = make_codec(2)
    grouped.autoencoder.encoder.blocks[1].norm1.eps = 1e-3  # no weight tells
    shifted, stretched = make_codec(2), make_codec(2)
    shifted.mean += 1e-3
    stretched.std *= 1.001
    scaled, tiled = make_codec(2), make_codec(2)
    scaled.scale = 0.5
    tiled.tiling.tile_voxels = 16
    plain = make_data(prepared_root)
    keys = [
        key_of(LatentStore("", 1), plain, shifted, None),
        key_of(LatentStore("", 1), plain, stretched, None),
        key_of(LatentStore("", 1), plain, scaled, None),
        key_of(LatentStore("", 1), plain, tiled, None),
        key_of(LatentStore("", 1), plain, make_codec(2), RegressionAnchor(regressor)),
        key_of(LatentStore("", 1), plain, make_codec(2), RegressionAnchor(other_regressor)),
        key_of(
            LatentStore("", 1),
            make_data(prepared_root, augmentation=[lambda item: item]),
            codec,
            None,
        ),
        key_of(
            LatentStore("", 1),
            make_data(prepared_root, augmentation=[lambda item: dict(item)]),
            codec,
            None,
        ),
        key_of(LatentStore("", 1), plain, codec, None),
        key_of(LatentStore("", 2), plain, codec, None),
        key_of(LatentStore("", 1), plain, codec, Pixels()),
        key_of(LatentStore("", 1), plain, other, None),
        key_of(LatentStore("", 1), plain, wider, None),
        key_of(LatentStore("", 1), plain, grouped, None),
        key_of(LatentStore("", 1), make_data(prepared_root, augmented=False), codec, None),
        key_of(
            LatentStore("", 1),
            make_data(prepared_root, augmentation=augmentation(0.25)),
            codec,
            None,
        ),
        key_of(LatentStore("", 1), make_data(prepared_root, context_slices=1), codec, None),
    ]
    assert len(set(keys)) == len(keys)
    again = key_of(
        LatentStore(str(tmp_path), 1, batch_size=3),
        make_data(prepared_root, batch_size=2, seed=5),
        make_codec(2),
        None,
    )
    assert again == keys[8]  # the order of training is no fact of the cache


def test_a_changed_brain_mask_is_another_key(make_root):
    root = make_root("train", "train", "test")
    codec, store = make_codec(2), LatentStore("")
    before = key_of(store, make_data(root), codec, None)
    record = Manifest.read(root).split("train")[0]
    mask = read_volume(record.brain_mask)
    mask.data[16, 20, 12] = 0
    write_labels(record.brain_mask, mask.data > 0.5, mask.affine)
    assert key_of(store, make_data(root), codec, None) != before


def locked(lock):
    def change(image):
        with lock:
            return image

    return change


def test_what_has_no_hash_is_encoded_at_each_step_and_said_once(prepared_root, tmp_path, caplog):
    module = make_data(prepared_root, augmentation=[Lambdad(KEYS, func=locked(threading.Lock()))])
    with caplog.at_level("WARNING"):
        LatentStore(str(tmp_path)).install(module, make_codec(2), None)
    assert list(tmp_path.iterdir()) == []
    assert [record.getMessage() for record in caplog.records] == [
        "No latents are stored, each step encodes its images: what decides them holds a lock, "
        "which has no hash."
    ]
    assert "target" in module.train_items[0]


def test_a_cache_from_elsewhere_is_named_and_made_again(prepared_root, tmp_path, caplog):
    """Its arrays are whole and its name is right, and yet it holds other latents."""
    codec = make_codec(2)
    key = key_of(LatentStore(""), make_data(prepared_root), codec, None)
    installed(prepared_root, tmp_path, codec, augmented=False)
    only_cache(tmp_path).rename(tmp_path / key)
    spy = Spy(codec)
    with caplog.at_level("WARNING"):
        module = installed(prepared_root, tmp_path, codec)
    found = f"Latents in {tmp_path / key} cannot be used: cache.json has other data"
    assert found in caplog.text
    assert spy.items == len(module.train_items)


def test_a_build_deletes_nothing_but_latents(prepared_root, tmp_path):
    codec = make_codec(2)
    target = tmp_path / key_of(LatentStore(""), make_data(prepared_root), codec, None)
    target.mkdir()
    (target / "notes.txt").write_text("mine")
    with pytest.raises(MrcontrastError, match=r"nothing but latents, got notes\.txt .*Move it"):
        installed(prepared_root, tmp_path, codec)
    assert (target / "notes.txt").read_text() == "mine"


def test_other_voxels_are_another_key(make_root):
    root = make_root("train", "train", "test")
    codec, store = make_codec(2), LatentStore("")
    before = key_of(store, make_data(root), codec, None)
    records = Manifest.read(root).records
    Manifest(
        [replace(records[0], sha256=records[0].sha256 | {"t1w": "0" * 64}), *records[1:]], root
    ).write()
    assert key_of(store, make_data(root), codec, None) != before


def stop():
    raise RuntimeError("power cut")


@pytest.mark.parametrize("death", ["exception", "kill"])
def test_a_build_that_stops_half_way_leaves_nothing_to_read(prepared_root, tmp_path, death):
    codec = make_codec(2)
    if death == "exception":
        Spy(codec, at=16, action=stop)
        with pytest.raises(RuntimeError, match="power cut"):
            installed(prepared_root, tmp_path, codec)
    else:

        def work():
            Spy(codec, at=16, action=lambda: os._exit(9))
            installed(prepared_root, tmp_path, codec)

        assert end_of(in_child(work)) == 9
        assert only_cache(tmp_path).suffix == ".partial"
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == (death == "kill")
    fresh = make_codec(2)
    spy = Spy(fresh)
    module = installed(prepared_root, tmp_path, fresh)
    assert spy.items == len(module.train_items)
    assert only_cache(tmp_path).suffix == ""


def rewrite(folder, change):
    array = change(np.load(folder / "target_mean.npy"))
    np.save(folder / "target_mean.npy", array, allow_pickle=True)


def edit(folder, change):
    card = json.loads((folder / "cache.json").read_text())
    change(card)
    (folder / "cache.json").write_text(json.dumps(card))


def cut_array(folder):
    path = folder / "target_mean.npy"
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    "damage",
    [
        cut_array,
        lambda folder: (folder / "target_sigma.npy").unlink(),
        lambda folder: (folder / "cache.json").unlink(),
        lambda folder: (folder / "cache.json").write_text("{"),
        lambda folder: (folder / "cache.json").write_text("[1]"),
        lambda folder: (folder / "cache.json").write_bytes(b"\xff\xfe"),
        lambda folder: rewrite(folder, lambda array: array[:, :1]),
        lambda folder: rewrite(folder, lambda array: array[:-1]),
        lambda folder: rewrite(folder, lambda array: array.astype(np.float64)),
        lambda folder: rewrite(folder, lambda array: array.astype(object)),
        lambda folder: edit(folder, lambda card: card["arrays"].update({"../target_mean": [1]})),
        lambda folder: edit(folder, lambda card: card.update(created="yesterday")),
        lambda folder: edit(folder, lambda card: card["facts"].update(version=3)),
    ],
    ids=[
        *("cut", "no sigma", "no card", "bad card", "list", "no text", "shape", "length", "type"),
        *("pickle", "path", "date", "version"),
    ],
)
def test_a_damaged_cache_is_built_again(prepared_root, tmp_path, damage):
    codec = make_codec(2)
    before = installed(prepared_root, tmp_path, codec).train_items[5]["target_mean"]
    damage(only_cache(tmp_path))
    spy = Spy(codec)
    module = installed(prepared_root, tmp_path, codec)
    assert spy.items == len(module.train_items)
    assert torch.equal(module.train_items[5]["target_mean"], before)


def test_a_cache_that_is_cut_while_it_is_opened_is_named(prepared_root, tmp_path):
    installed(prepared_root, tmp_path, make_codec(2))
    cut_array(only_cache(tmp_path))
    with pytest.raises(MrcontrastError, match=r"whole latent cache, .*target_mean\.npy.*cut"):
        LatentDataset([only_cache(tmp_path)])


def test_of_two_processes_one_builds_and_both_read(prepared_root, tmp_path):
    codec = make_codec(2)
    installed(prepared_root, tmp_path / "warm", codec)  # the volumes' own store, made beforehand

    def work(name):
        spy = Spy(codec, seconds=0.05)
        items = installed(prepared_root, tmp_path / "shared", codec).train_items
        facts = {
            "encoded": spy.items,
            "items": len(items),
            "sum": float(items[7]["target_mean"].sum()),
        }
        (tmp_path / name).write_text(json.dumps(facts))
        return 0

    children = [in_child(lambda name=name: work(name)) for name in ("one", "two")]
    assert [end_of(child) for child in children] == [0, 0]
    one, two = (json.loads((tmp_path / name).read_text()) for name in ("one", "two"))
    assert sorted([one["encoded"], two["encoded"]]) == [0, one["items"]]
    assert one["sum"] == two["sum"]


def test_workers_read_it(prepared_root, tmp_path):
    items = installed(prepared_root, tmp_path, make_codec(2), condition=PIXELS).train_items
    loader = DataLoader(items, batch_size=5, num_workers=2)
    read = torch.cat([batch["target_mean"] for batch in loader])
    assert torch.equal(read, torch.stack([item["target_mean"] for item in items]))


def test_it_is_mapped_and_pickles_as_a_path(prepared_root, tmp_path):
    items = installed(prepared_root, tmp_path, make_codec(2), condition=PIXELS).train_items
    types = {name: (type(array), array.dtype) for name, array in items.arrays.items()}
    assert types == {
        "target_mean": (np.memmap, np.float32),
        "target_sigma": (np.memmap, np.float32),
        "source": (np.memmap, np.float16),
    }
    pickled = pickle.dumps(items)
    assert len(pickled) < 1000
    assert torch.equal(pickle.loads(pickled)[2]["source"], items[2]["source"])
    assert {value.dtype for value in items[0].values()} == {torch.float32}


def test_a_whole_cache_needs_no_leave_to_write(prepared_root, tmp_path, monkeypatch):
    codec = make_codec(2)
    installed(prepared_root, tmp_path, codec)

    def refuse(*args, **kwargs):
        raise PermissionError("read-only")

    monkeypatch.setattr(Path, "touch", refuse)
    monkeypatch.setattr(Path, "mkdir", refuse)
    monkeypatch.setattr("mrcontrast.latent.cache.FileLock", refuse)
    assert len(installed(prepared_root, tmp_path, codec).train_items) > 0


def test_latents_that_are_not_finite_are_refused(prepared_root, tmp_path):
    codec = make_codec(2)
    with torch.no_grad():
        codec.autoencoder.quant_conv_mu.conv.bias.fill_(torch.nan)
    with pytest.raises(MrcontrastError, match=r"finite values of target_mean.* items 0 to 7"):
        installed(prepared_root, tmp_path, codec)


def test_a_place_that_cannot_be_written_is_a_fault_in_one_line(
    prepared_root, tmp_path, monkeypatch
):
    (tmp_path / "file").write_text("")
    with pytest.raises(MrcontrastError, match="MRCONTRAST_CACHE") as caught:
        installed(prepared_root, tmp_path / "file" / "latents", make_codec(2))
    assert "\n" not in str(caught.value)

    def refuse(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    with pytest.raises(MrcontrastError, match=r"MB of free space, got: No space left.*MRCONTRAST"):
        installed(prepared_root, tmp_path, make_codec(2))
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]  # the disk is full enough


def test_half_precision_would_err_where_a_channel_lies_far_from_zero():
    """The reason for float32: standardised, float16 errs in proportion to mean / std."""
    torch.manual_seed(0)
    for offset, std, worst in ((0.0, 1.0, 2.5e-3), (8.0, 0.1, 0.05)):
        latent = offset + std * torch.randn(10_000)
        error = (latent.half().float() - latent).abs().max() / std
        assert worst / 10 < error < worst


def test_the_latent_of_flair_is_cached_in_the_place_of_its_pixels(prepared_root, tmp_path):
    codec = make_codec(2)
    condition = latents([4])
    module = installed(prepared_root, tmp_path, codec, condition=condition)
    item, plain = module.train_items[4], module.plain_items[4]
    assert "source" not in item
    direct = condition(condition.compute({"source": plain["source"][None]}, codec), codec)
    cached = condition({"source_latent": item["source_latent"][None]}, codec)
    torch.testing.assert_close(cached, direct, rtol=0, atol=1e-5)
