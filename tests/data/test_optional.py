"""Sessions without an optional contrast, and optional contrasts that drop out in training."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.transforms import RandShiftIntensityd

from mrcontrast.data.datamodule import ContrastDataModule
from mrcontrast.data.manifest import Manifest
from mrcontrast.data.volume_store import record_key
from mrcontrast.errors import MrcontrastError, UsageError

CONTRASTS = ("flair", "t2w", "t1w")


@pytest.fixture
def root(three_contrasts_root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The first training session has no T2w."""
    monkeypatch.setenv("MRCONTRAST_CACHE", str(tmp_path / "cache"))
    read = Manifest.read

    def without(root: Path) -> Manifest:
        manifest = read(root)
        first, *others = manifest.records
        kept = {name: path for name, path in first.images.items() if name != "t2w"}
        return Manifest(
            [
                replace(
                    first,
                    images=kept,
                    sha256={name: value for name, value in first.sha256.items() if name != "t2w"},
                ),
                *others,
            ],
            root,
        )

    monkeypatch.setattr(Manifest, "read", staticmethod(without))
    return three_contrasts_root


def make(root: Path, **options: Any) -> ContrastDataModule:
    defaults = {"source": ["flair", "t2w"], "target": "t1w", "spatial_dims": 2, "batch_size": 4}
    return ContrastDataModule(str(root), **(defaults | {"optional": ["t2w"]} | options))


@pytest.mark.parametrize("dims", [2, 3])
def test_a_session_without_it_is_an_item(root: Path, dims: int) -> None:
    module = make(root, spatial_dims=dims)
    first, last = module.plain_items[0], module.plain_items[len(module.plain_items) - 1]
    assert (first["subject"], first["present"].tolist()) == ("sub-01", [1, 0])
    assert not first["source"][1].any()
    assert last["present"].tolist() == [1, 1]
    assert last["source"][1].any()
    with pytest.raises(MrcontrastError, match=r"got no t2w .*or data.optional=\[t2w\]"):
        make(root, spatial_dims=dims, optional=()).prepare_data()


def test_the_store_of_a_whole_session_is_the_same_file(root: Path) -> None:
    lacking, whole, *_ = Manifest.read(root).records
    assert record_key(whole, CONTRASTS, ["t2w"]) == record_key(whole, CONTRASTS)
    assert record_key(lacking, CONTRASTS, ["t2w"]) != record_key(lacking, ("flair", "t1w"))


@pytest.mark.parametrize("slices", [0, 1])
def test_flag_and_channels_drop_out_together(root: Path, slices: int) -> None:
    shift = RandShiftIntensityd(["source", "target"], offsets=(0.05, 0.05), prob=1.0)
    module = make(root, context_slices=slices, augmentation=[shift], optional_dropout=0.3)
    seen = []
    for variant in range(4):
        items = module.variant(variant)
        assert torch.equal(items[9]["source"], items[9]["source"])  # a draw is fixed
        for index in range(0, len(items), 5):
            item = items[index]
            there = bool(item["source"][1 + 2 * slices :].any())
            assert there == bool(item["present"][1])
            assert item["source"][: 1 + 2 * slices].any()
            seen.append(there and item["subject"] != "sub-01")
            assert item["subject"] != "sub-01" or not there
    assert 0.15 < sum(seen) / len(seen) < 0.5  # a half of two thirds
    batch = next(iter(module.train_dataloader()))
    assert batch["present"].shape == (4, 2)
    assert module.val_items[0]["present"].tolist() == [1, 1]


def test_what_decides_a_cache_names_the_dropout(root: Path, three_contrasts_root: Path) -> None:
    module = make(root)
    assert module.fingerprint()["optional_dropout"] == 0.2
    assert module.fingerprint() != make(root, optional_dropout=0.5).fingerprint()
    manifest = Manifest.read(root)
    assert manifest.facts(["flair", "t2w"], "t1w", ["t2w"])["optional"] == ["t2w"]
    assert "optional" not in manifest.facts(["flair"], "t1w")


def test_wrong_options_are_one_line(root: Path) -> None:
    with pytest.raises(UsageError, match=r"\(data.optional\)"):
        make(root, optional=["flair"])
    with pytest.raises(UsageError, match="optional_dropout"):
        make(root, optional_dropout=1.5)
