"""The order of training items: any batch of any epoch can be the next."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from monai.transforms import RandFlipd

from mrcontrast.data.datamodule import ContrastDataModule
from mrcontrast.data.dataset import ItemOptions


def make(root: Path, **options: Any) -> ContrastDataModule:
    defaults = {"source": ["flair"], "target": "t1w", "spatial_dims": 2, "batch_size": 4}
    return ContrastDataModule(str(root), **(defaults | options))


def flip() -> RandFlipd:
    return RandFlipd(["source", "target", "brain_mask"], prob=0.5, spatial_axis=0)


def at(module: ContrastDataModule, seen: int) -> ContrastDataModule:
    """Put a module in a training that has seen so many batches."""
    loop = SimpleNamespace(batch_progress=SimpleNamespace(total=SimpleNamespace(processed=seen)))
    fit_loop = SimpleNamespace(epoch_loop=loop)
    trainer = SimpleNamespace(training=True, world_size=1, global_rank=0, fit_loop=fit_loop)
    module.trainer = trainer  # type: ignore[assignment]
    return module


def patches_of(module: ContrastDataModule) -> tuple[list[int], torch.Tensor]:
    """Return the items of the one batch in order, and their patches sorted alike."""
    batch = next(iter(module.train_dataloader()))
    order = batch["item"].argsort()
    return batch["item"][order].tolist(), batch["target"][order]


@pytest.mark.parametrize("num_workers", [0, 1])
def test_an_epoch_is_entered_at_any_batch(prepared_root: Path, num_workers: int) -> None:
    module = make(prepared_root, batch_size=8, num_workers=num_workers, augmentation=[flip()])
    per_epoch = len(module.train_dataloader())
    first = list(module.train_dataloader())
    second = list(at(module, per_epoch).train_dataloader())
    rest = list(at(module, per_epoch + 2).train_dataloader())
    assert len(rest) == per_epoch - 2 > 1
    for ours, theirs in zip(rest, second[2:], strict=True):
        assert torch.equal(ours["item"], theirs["item"])
        assert torch.equal(ours["source"], theirs["source"])
    assert not torch.equal(first[0]["item"], second[0]["item"])
    assert len(module.train_dataloader()) == per_epoch  # as Lightning counts, wherever it stands


def test_processes_share_an_epoch(prepared_root: Path) -> None:
    shares = []
    for process in (0, 1):
        module = at(make(prepared_root, batch_size=3), seen=1)
        module.trainer.world_size, module.trainer.global_rank = 2, process  # type: ignore[union-attr]
        shares.append({int(item) for batch in module.train_dataloader() for item in batch["item"]})
    assert all(shares)
    assert not shares[0] & shares[1]


def test_loading_leaves_the_generator_of_training_alone(prepared_root: Path) -> None:
    module = make(prepared_root, augmentation=[flip()])
    before = torch.get_rng_state()
    for loader in (module.train_dataloader(), module.val_dataloader()):
        next(iter(loader))
    assert torch.equal(torch.get_rng_state(), before)


def test_draws_differ_between_epochs_and_items(prepared_root: Path) -> None:
    drawn = make(prepared_root, augmentation=[flip()]).train_dataloader().dataset
    plain = make(prepared_root).plain_items
    count = len(plain)
    flipped = [
        [
            not torch.equal(drawn[epoch * count + item]["target"], plain[item]["target"])
            for item in range(20)
        ]
        for epoch in range(2)
    ]
    assert all(2 < sum(flips) < 18 for flips in flipped)
    assert flipped[0] != flipped[1]


def test_another_epoch_draws_other_patches(prepared_root: Path) -> None:
    options = ItemOptions(patch_size=[16, 24, 8])
    module = make(prepared_root, spatial_dims=3, batch_size=3, items=options)
    order, drawn = zip(*(patches_of(at(module, seen)) for seen in (0, 0, 1)), strict=True)
    assert order[0] == order[1] == order[2] == [0, 1, 2]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
