"""The same bits each time: deterministic algorithms, and seeds of all that draws."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from mrcontrast.commands.train import train
from mrcontrast.runs.folder import RunFolder
from mrcontrast.tracking.no_tracker import NoTracker
from mrcontrast.training.trainer import build_trainer
from toy.autoencoder import ToyAutoencoder
from toy.runs import toy_config

SETTINGS = (
    "stage=autoencoder",
    "data=prepared",
    "data.batch_size=16",
    "data.items.max_val_items=3",
    "callbacks.pictures.count=0",
    "trainer.deterministic=true",
    "stage.autoencoder.channels=[8,8]",
    "stage.autoencoder.attention_levels=[false,false]",
    "stage.autoencoder.norm_num_groups=4",
)


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Lightning leaves torch as it was told to be."""
    yield
    torch.use_deterministic_algorithms(False)


def weights(root: Path, prepared: Path, name: str, *overrides: str) -> str:
    paths = f"data.root={prepared}", f"paths.cache={root}/cache", f"name={name}"
    config = toy_config(root, *SETTINGS, *paths, *overrides)
    train(config)
    return RunFolder(config.out).verify()


def test_two_trainings_give_the_same_bits(tmp_path: Path, prepared_root: Path) -> None:
    first = weights(tmp_path, prepared_root, "first")
    assert torch.are_deterministic_algorithms_enabled()
    assert weights(tmp_path, prepared_root, "again", "workers=2") == first
    assert weights(tmp_path, prepared_root, "other", "seed=1") != first


def test_kernels_are_not_chosen_by_a_race(tmp_path: Path) -> None:
    overrides = ("stage=toy_autoencoder", "+trainer.benchmark=true", "callbacks=none")
    for deterministic in (True, False):
        config = toy_config(tmp_path, *overrides, f"trainer.deterministic={deterministic}")
        stage = ToyAutoencoder(torch.nn.Conv2d(1, 1, 3), lr=0.1)
        build_trainer(config, stage, RunFolder(tmp_path / "run"), NoTracker())
        assert torch.backends.cudnn.benchmark is not deterministic
    torch.backends.cudnn.benchmark = False
