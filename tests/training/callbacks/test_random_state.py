"""Generators that go on where a checkpoint stood."""

import random
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import torch

from mrcontrast.training.callbacks.random_state import RandomState


def draw() -> tuple:
    legacy = np.random.rand()  # noqa: NPY002 - the generator that MONAI draws from
    return random.random(), legacy, random.gauss(0, 1), torch.rand(1).item()


def test_all_generators_go_on(tmp_path: Path) -> None:
    random.gauss(0, 1)  # leaves a second draw in the state
    torch.save(RandomState().state_dict(), tmp_path / "state.pt")
    expected = draw()
    draw()
    callback = RandomState()
    callback.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert draw() != expected  # nothing is set before training starts
    callback.on_train_start(MagicMock(), MagicMock())
    assert draw() == expected


def test_a_fresh_training_is_left_alone() -> None:
    before = torch.get_rng_state()
    RandomState().on_train_start(MagicMock(), MagicMock())
    assert torch.equal(torch.get_rng_state(), before)
