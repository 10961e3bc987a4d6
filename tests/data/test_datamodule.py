import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.transforms import RandFlipd

from mrcontrast.config.build import build, compose
from mrcontrast.data.datamodule import ContrastDataModule
from mrcontrast.data.dataset import ItemOptions
from mrcontrast.data.manifest import Manifest
from mrcontrast.errors import MrcontrastError, UsageError

MakeRoot = Callable[..., Path]


def make(root: Path, **options: Any) -> ContrastDataModule:
    defaults = {"source": ["flair"], "target": "t1w", "spatial_dims": 2, "batch_size": 4}
    return ContrastDataModule(str(root), **(defaults | options))


def train_order(module: ContrastDataModule) -> list[int]:
    return [int(item) for batch in module.train_dataloader() for item in batch["item"]]


def flip() -> RandFlipd:
    return RandFlipd(["source", "target", "brain_mask"], prob=1.0, spatial_axis=0)


def test_batches_follow_the_legend(prepared_root: Path) -> None:
    module = make(prepared_root, context_slices=1)
    batch = next(iter(module.train_dataloader()))
    assert batch["source"].shape == (4, 3, 32, 40)
    assert batch["target"].shape == batch["brain_mask"].shape == (4, 1, 32, 40)
    assert 0 <= batch["source"].min() < batch["source"].max() <= 1


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_any_contrasts_are_served(three_contrasts_root: Path, spatial_dims: int) -> None:
    """Sources in the order of the config, the target apart, all under one draw of geometry."""
    names = {"source": ["t2w", "flair"], "target": "t1w"}
    flips = {"spatial_dims": spatial_dims, "augmentation": [flip()]}
    module = make(three_contrasts_root, **names, **flips)
    item, plain = module.drawn_items[1], module.plain_items[1]
    alone = [
        make(three_contrasts_root, source=[name], target="t1w", **flips).plain_items[1]["source"]
        for name in names["source"]
    ]
    assert torch.equal(plain["source"], torch.cat(alone))
    for key in ("source", "target", "brain_mask"):
        assert torch.equal(item[key], plain[key].flip(1))


def test_sessions_without_a_contrast_are_one_clear_error(prepared_root: Path) -> None:
    module = make(prepared_root, source=["flair", "t2w"])
    with pytest.raises(MrcontrastError, match=r"Expected flair, t2w, t1w of sub-01, got no t2w"):
        module.prepare_data()
    with pytest.raises(MrcontrastError, match=r"data\.source and data\.target"):
        module.fingerprint()


def test_splits_stay_apart(prepared_root: Path) -> None:
    module = make(prepared_root)
    module.prepare_data()
    loaders = {
        "train": module.train_dataloader(),
        "val": module.val_dataloader(),
        "test": module.test_dataloader(),
    }
    for split, loader in loaders.items():
        names = {record.name for record in module.manifest.split(split)}
        assert {name for batch in loader for name in batch["subject"]} == names
    assert not module.val_is_train


def test_volumes_and_patches(prepared_root: Path) -> None:
    volumes = make(prepared_root, spatial_dims=3, batch_size=2)
    assert next(iter(volumes.train_dataloader()))["source"].shape == (2, 1, 32, 40, 24)
    options = ItemOptions(patch_size=[16, 24, 8])
    patches = make(prepared_root, spatial_dims=3, batch_size=3, items=options)
    first, again = ([b["target"] for b in patches.val_dataloader()] for _ in range(2))
    assert all(map(torch.equal, first, again))
    assert next(iter(patches.train_dataloader()))["target"].shape == (3, 1, 16, 24, 8)


def test_seed_decides_the_order(prepared_root: Path) -> None:
    orders = [train_order(make(prepared_root, seed=seed)) for seed in (1, 1, 2)]
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]
    assert len(set(orders[0])) == len(orders[0])


def test_augmentation_touches_training_only(prepared_root: Path) -> None:
    module = make(prepared_root, augmentation=[flip()])
    drawn, plain = module.drawn_items[7], module.train_items[7]
    assert torch.equal(drawn["source"], plain["source"].flip(1))
    assert not torch.equal(drawn["source"], plain["source"])
    bare = make(prepared_root)
    assert torch.equal(module.val_items[3]["source"], bare.val_items[3]["source"])


def test_validation_is_a_fixed_subset(prepared_root: Path) -> None:
    module = make(prepared_root, items=ItemOptions(max_val_items=5))
    chosen = [int(item) for batch in module.val_dataloader() for item in batch["item"]]
    assert chosen == sorted(set(chosen)) == module.val_items.indices
    assert len(chosen) == 5
    assert chosen == [int(item) for batch in module.val_dataloader() for item in batch["item"]]


def test_missing_validation_is_said(make_root: MakeRoot, caplog: pytest.LogCaptureFixture) -> None:
    module = make(make_root("train", "train", "test"), augmentation=[flip()])
    assert module.val_is_train
    with caplog.at_level(logging.WARNING):
        items = module.val_items
    assert "validating on training subjects" in caplog.text
    assert {item["subject"] for item in items} == {"sub-01", "sub-02"}
    index = items.indices[0]
    assert torch.equal(items[0]["source"], module.plain_items[index]["source"])


def test_assigned_items_are_served_as_they_are(make_root: MakeRoot) -> None:
    module = make(make_root("train", "test"), augmentation=[flip()])
    latents = [{"target_mean": torch.full((3, 8, 10), float(index))} for index in range(8)]
    module.train_items = latents
    batches = list(module.train_dataloader())
    values = [row[0, 0, 0].item() for batch in batches for row in batch["target_mean"]]
    assert sorted(values) == list(range(8))
    assert {tuple(batch["target_mean"].shape) for batch in batches} == {(4, 3, 8, 10)}
    assert "target" in module.val_items[0]  # validation keeps its images


def test_variants_repeat(prepared_root: Path) -> None:
    options = ItemOptions(patch_size=[16, 24, 8])
    module = make(prepared_root, spatial_dims=3, items=options, augmentation=[flip()])
    assert module.variant(0) is module.plain_items
    first, again, other = (module.variant(index)[1]["source"] for index in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    "change",
    [
        {"context_slices": 1},
        {"items": ItemOptions(min_brain_fraction=0.2)},
        {"augmentation": [flip()]},
        {"source": ["t1w"], "target": "flair"},
    ],
)
def test_fingerprint_tells_changes(prepared_root: Path, change: dict[str, Any]) -> None:
    plain = json.dumps(make(prepared_root).fingerprint(), sort_keys=True)
    assert plain == json.dumps(make(prepared_root).fingerprint(), sort_keys=True)
    assert plain != json.dumps(make(prepared_root, **change).fingerprint(), sort_keys=True)


def test_worker_processes_give_the_same_items(prepared_root: Path) -> None:
    alone, helped = make(prepared_root), make(prepared_root, num_workers=1)
    for ours, theirs in zip(alone.train_dataloader(), helped.train_dataloader(), strict=True):
        assert torch.equal(ours["source"], theirs["source"])


@pytest.mark.parametrize(
    "options",
    [
        {"spatial_dims": 4},
        {"spatial_dims": 3, "context_slices": 1},
        {"items": ItemOptions(patch_size=[8, 8, 8])},
        {"source": []},
        {"source": ["flair", "t1w"]},
        {"source": ["flair", "flair"]},
    ],
)
def test_contradictions_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"^Expected "):
        make(Path("nowhere"), **options)


def test_too_much_brain_wanted_is_one_line(prepared_root: Path) -> None:
    module = make(prepared_root, items=ItemOptions(min_brain_fraction=1.0))
    with pytest.raises(MrcontrastError, match="min_brain_fraction") as caught:
        module.train_dataloader()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_config_builds_and_serves(prepared_root: Path, spatial_dims: int) -> None:
    data = ["data=prepared", f"data.root={prepared_root}", "data.batch_size=2"]
    config = compose("train", ["stage=lookup", f"spatial_dims={spatial_dims}", *data])
    module = build(config.data)
    batch = next(iter(module.train_dataloader()))
    assert batch["source"].shape[2:] == ((32, 40) if spatial_dims == 2 else (32, 40, 24))
    assert [type(part).__name__ for part in module.augmentation] == [
        "RandFlipd",
        "RandAffined",
        "RandAdjustContrastd",
    ]


def test_facts_are_the_grid_and_the_settings(prepared_root: Path) -> None:
    manifest = Manifest.read(prepared_root)
    settings = {"name": "percentile-0-99.5", "clip": True}
    assert manifest.facts(["flair"], "t1w") == {
        "source": ["flair"],
        "target": "t1w",
        "spacing_mm": 5.0,
        "shape": [32, 40, 24],
        "normaliser_flair": settings,
        "normaliser_t1w": settings,
    }
    other = {"name": "percentile-0-100", "low": 0.0, "high": 1.0, "clip": True}
    manifest.records[2] = replace(
        manifest.records[2], normalisers=manifest.records[2].normalisers | {"t1w": other}
    )
    with pytest.raises(MrcontrastError, match=r"one normaliser_t1w.*sub-03"):
        manifest.facts(["flair"], "t1w")
