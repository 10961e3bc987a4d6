"""Learning rates that follow steps or time, whichever ends a training first."""

from datetime import timedelta
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.callbacks import Timer

from mrcontrast.stages.optimisation import Optimisation, descend, time_share

PLAN = Optimisation(
    lambda parameters: torch.optim.SGD(parameters, lr=1.0), warmup_steps=10, final_lr_fraction=0.1
)
ALONE = SimpleNamespace(broadcast=lambda share: share)  # the strategy of a single process


class Clock(Timer):
    """A timer that is told how late it is."""

    spent = 0.0

    def time_elapsed(self, stage: str = "train") -> float:
        return self.spent


@pytest.mark.parametrize(
    ("step", "total", "spent", "expected"),
    [
        (4, 110, 0.9, 0.5),  # warming up, whatever the time
        (60, 110, 0.2, 0.55),  # half of the steps
        (35, 110, 0.5, 0.55),  # half of the time
        (60, float("inf"), 1.0, 0.1),
        (60, float("inf"), 0.0, 1.0),
        (500, 110, 0.0, 0.1),
    ],
)
def test_the_larger_share_decides(step: int, total: float, spent: float, expected: float) -> None:
    assert PLAN.rate(step, total, spent) == pytest.approx(expected)


def test_the_share_of_time_is_that_of_the_timer() -> None:
    clock = Clock(timedelta(seconds=40))
    trainer = SimpleNamespace(callbacks=[object(), clock], strategy=ALONE)
    shares = []
    for clock.spent in (0.0, 10.0, 40.0, 90.0):
        shares.append(time_share(trainer))
    assert shares == [0.0, 0.25, 1.0, 1.0]
    assert time_share(SimpleNamespace(callbacks=[Timer()])) == 0.0  # a timer without a limit
    assert time_share(None) == 0.0


def test_all_processes_have_the_share_of_the_first() -> None:
    clock = Clock(timedelta(seconds=40))
    clock.spent = 30.0
    second = SimpleNamespace(broadcast=lambda share: 0.5)  # what the first one sent
    assert time_share(SimpleNamespace(callbacks=[clock], strategy=second)) == 0.5


def test_a_schedule_falls_with_time() -> None:
    clock = Clock(timedelta(seconds=40))
    weight = torch.nn.Parameter(torch.zeros(1))
    trainer = SimpleNamespace(callbacks=[clock], strategy=ALONE)
    parts = PLAN.configure([weight], float("inf"), trainer)
    optimizer, schedule = parts["optimizer"], parts["lr_scheduler"]["scheduler"]
    rates = []
    for spent in (0.0,) * 10 + (20.0, 40.0):
        clock.spent = spent
        optimizer.step()
        schedule.step()
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates[9:] == pytest.approx([1.0, 0.55, 0.1])


@pytest.mark.parametrize("scaler", [None, SimpleNamespace(get_scale=lambda: 1024.0)])
def test_gradients_are_clipped_at_the_scale_that_they_have(scaler) -> None:
    limits = []
    stage = SimpleNamespace(
        trainer=SimpleNamespace(
            precision_plugin=SimpleNamespace(scaler=scaler), strategy=SimpleNamespace()
        ),
        manual_backward=lambda loss: loss.backward(),
        clip_gradients=lambda optimizer, limit, norm: limits.append(limit),
    )
    weight = torch.ones(1, requires_grad=True)
    descend(stage, torch.optim.SGD([weight], lr=0.1), weight.sum(), clip=0.5)
    assert limits == [0.5 if scaler is None else 512.0]


@pytest.mark.parametrize(("precision", "fused"), [("32-true", True), ("bf16-mixed", None)])
def test_mixed_precision_keeps_optimisers_that_lightning_can_clip(
    precision: str, fused: bool | None
) -> None:
    plan = Optimisation(torch.optim.AdamW, warmup_steps=10, final_lr_fraction=0.1)
    trainer = SimpleNamespace(callbacks=[], precision=precision)
    parts = plan.configure([torch.nn.Parameter(torch.zeros(2))], 100, trainer)
    assert parts["optimizer"].defaults["fused"] is fused
