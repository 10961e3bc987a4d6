"""Sides that take turns, so that a noisy machine is unkind to all of them alike."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from architectures import WARMUP_STEPS
from lightning import Callback, LightningModule, Trainer

OURS = "ours"


def clock() -> float:
    """Return seconds, once the device has done all that it was asked to."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def timed(work: Callable[[], Any]) -> float:
    """Return the seconds that some work takes."""
    start = clock()
    work()
    return clock() - start


def alternate(sides: Mapping[str, Callable[[], Any]], turns: int) -> dict[str, list[float]]:
    """Run all sides one after the other, again and again; the first turns are not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(turns + WARMUP_STEPS):
        for name, work in sides.items():
            seconds[name].append(timed(work))
    return {name: values[WARMUP_STEPS:] for name, values in seconds.items()}


class TakeTurns(Callback):
    """Let others work after each of a trainer's steps, and time both.

    A step of the trainer is all from the end of the others' turn to the end of its last callback:
    loading, forward, backward, clipping, optimiser, average of the weights, logging.

    Args:
        others: What works in between, by name.
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
        """Note our time, then let the others work."""
        self.seconds[OURS].append(clock() - self.mark)
        for name, work in self.others.items():
            self.seconds[name].append(timed(work))
        self.mark = clock()

    def counted(self) -> dict[str, list[float]]:
        """Return the seconds of each step behind the first ones."""
        return {name: values[WARMUP_STEPS:] for name, values in self.seconds.items()}


def compare(seconds: Mapping[str, list[float]], other: str = "original") -> dict[str, Any]:
    """Return medians and their ratio, with the span of the ratios of single turns."""
    ours, theirs = seconds[OURS], seconds[other]
    turns = [b / a for a, b in zip(ours, theirs, strict=True)]
    medians = {f"{name}_s": statistics.median(values) for name, values in seconds.items()}
    ratio = statistics.median(theirs) / statistics.median(ours)
    return {**medians, "ratio": ratio, "ratio_span": [min(turns), max(turns)], "turns": len(ours)}
