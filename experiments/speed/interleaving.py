"""Measure several sides in turns, so that load from elsewhere affects all of them alike."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from architectures import WARMUP_STEPS
from lightning import Callback, LightningModule, Trainer

OURS = "ours"


def clock() -> float:
    """Return the time in seconds after all work queued on the device."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def timed(work: Callable[[], Any]) -> float:
    """Return the seconds that some work takes."""
    start = clock()
    work()
    return clock() - start


def alternate(sides: Mapping[str, Callable[[], Any]], turns: int) -> dict[str, list[float]]:
    """Run all sides in turn, repeatedly; warm-up turns are not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(turns + WARMUP_STEPS):
        for name, work in sides.items():
            seconds[name].append(timed(work))
    return {name: values[WARMUP_STEPS:] for name, values in seconds.items()}


class TakeTurns(Callback):
    """Run other work after each training step, and time both.

    A training step covers loading, forward, backward, clipping, optimiser, weight average and
    logging: all from the end of the other work to the end of the last callback.

    Args:
        others: Functions to run in between, by name.
    """

    def __init__(self, others: Mapping[str, Callable[[], Any]]) -> None:
        self.others = others
        self.seconds: dict[str, list[float]] = {OURS: [], **{name: [] for name in others}}
        self.mark = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self.mark = clock()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,  # noqa: ANN401
        batch: Any,  # noqa: ANN401
        batch_idx: int,
    ) -> None:
        """Record our time, then run the others."""
        self.seconds[OURS].append(clock() - self.mark)
        for name, work in self.others.items():
            self.seconds[name].append(timed(work))
        self.mark = clock()

    def counted(self) -> dict[str, list[float]]:
        """Return the seconds of each step after the warm-up."""
        return {name: values[WARMUP_STEPS:] for name, values in self.seconds.items()}


def compare(seconds: Mapping[str, list[float]], other: str = "original") -> dict[str, Any]:
    """Return medians, their ratio, and the range of ratios over turns."""
    ours, theirs = seconds[OURS], seconds[other]
    turns = [b / a for a, b in zip(ours, theirs, strict=True)]
    medians = {f"{name}_s": statistics.median(values) for name, values in seconds.items()}
    ratio = statistics.median(theirs) / statistics.median(ours)
    return {**medians, "ratio": ratio, "ratio_span": [min(turns), max(turns)], "turns": len(ours)}
