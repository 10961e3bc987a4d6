"""A translated volume, and what it cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mrcontrast.inference.memory_plan import GIB
from mrcontrast.stages.contract import Stage
from mrcontrast.storage.volume import Volume

Volumes = Volume | Sequence[Volume | None]  # None for an optional source that is absent


@dataclass(frozen=True)
class Translation:
    """A synthetic volume and how it came about."""

    mean: Volume  # on the grid of the input, in [0, 1], 0 outside the brain
    std: Volume | None  # standard deviation of the samples; None for one
    normaliser: dict[str, Any] | None  # FittedNormaliser.to_dict(), by contrast if several
    seconds: float  # without reading and writing
    tiles: str | None = None  # as str(Tiles)
    cost: dict[str, Any] | None = None  # see cost_of
    remarks: tuple[str, ...] = ()  # for a reader, one sentence each
    brain: np.ndarray | None = None  # (X, Y, Z), bool, on the grid of the input


def count_parameters(stage: Stage) -> int:
    """Return the parameters that a translation can use; those in training alone are left out."""
    idle = tuple(f"{name}." for name in stage.training_only)
    return sum(
        value.numel() for name, value in stage.named_parameters() if not name.startswith(idle)
    )


def reset_peak(device: torch.device) -> None:
    """Forget the largest memory that was taken so far, where that is measured."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def cost_of(stage: Stage, samples: int, device: torch.device, estimate: int | None) -> dict:
    """Return what a sidecar says of costs.

    On CUDA the peak is measured, elsewhere it is the ``estimate`` (bytes), if there is one.
    """
    source, peak = "estimate", estimate
    if device.type == "cuda":
        source, peak = "torch.cuda", torch.cuda.max_memory_allocated(device)
    return {
        "Parameters": count_parameters(stage),
        "NetworkCalls": stage.network_calls(samples),
        "PeakMemoryGiB": None if peak is None else round(peak / GIB, 3),
        "PeakMemoryFrom": None if peak is None else source,
    }
