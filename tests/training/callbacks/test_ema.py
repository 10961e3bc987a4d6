"""The average of the weights."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning import LightningModule
from torch import nn
from torch.optim.swa_utils import AveragedModel

from mrcontrast.training.callbacks.ema import EmaWeights


def average_of(callback: EmaWeights, model: nn.Module) -> AveragedModel:
    return AveragedModel(model, multi_avg_fn=callback.update, use_buffers=False)


@pytest.mark.parametrize(("updates", "decay"), [(1, 2 / 11), (8, 9 / 18), (100_000, 0.999)])
def test_decay_warms_up(updates: int, decay: float) -> None:
    average, current = torch.ones(1), torch.zeros(1)
    EmaWeights(decay=0.999).update([average], [current], torch.tensor(updates))
    assert average.item() == pytest.approx(decay, rel=1e-5)


def test_frozen_weights_stay_equal_to_the_last_bit() -> None:
    model = nn.Linear(50, 50)
    averaged = average_of(EmaWeights(decay=0.999), model)
    for _ in range(300):
        averaged.update_parameters(model)
    assert torch.equal(averaged.module.weight, model.weight)


def test_buffers_are_copied_even_if_they_are_integers() -> None:
    model = nn.BatchNorm1d(2)
    averaged = average_of(EmaWeights(decay=0.5), model)
    for count in range(5):
        model.num_batches_tracked.fill_(count + 7)
        averaged.update_parameters(model)
    assert averaged.module.num_batches_tracked.item() == 11


def test_the_average_is_that_of_the_formula() -> None:
    model = nn.Linear(1, 1, bias=False)
    averaged = average_of(EmaWeights(decay=0.4), model)
    expected = 0.0
    for step, value in enumerate([3.0, 5.0, -1.0, 2.0]):
        model.weight.data.fill_(value)
        averaged.update_parameters(model)
        decay = min(0.4, (1 + step) / (10 + step))
        expected = value if step == 0 else decay * expected + (1 - decay) * value
    assert averaged.module.weight.item() == pytest.approx(expected, rel=1e-6)


class Half(LightningModule):
    """One layer that learns and one that is frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.learns, self.frozen = nn.Linear(3, 3), nn.Linear(3, 3).requires_grad_(False)


def at(device: str) -> Any:
    return SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device(device)))


def test_frozen_weights_are_shared_once_training_starts() -> None:
    callback, model = EmaWeights(decay=0.5), Half()
    callback.setup(at("cpu"), model, "fit")
    callback.on_train_start(at("cpu"), model)
    average = callback._average_model
    assert average is not None
    assert average.module.frozen.weight.data_ptr() == model.frozen.weight.data_ptr()
    for value in (1.0, 5.0, 5.0):
        model.learns.weight.data.fill_(value)
        average.update_parameters(model)
    assert 1 < average.module.learns.weight[0, 0].item() < 5


def test_the_average_lies_where_training_runs() -> None:
    callback = EmaWeights(decay=0.5)
    callback.setup(at("meta"), Half(), "fit")
    assert callback._average_model is not None
    assert callback._average_model.module.learns.weight.is_meta
