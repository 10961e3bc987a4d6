"""What a translation costs: the size of the networks, how often they run, memory."""

import torch

from mrcontrast.inference.memory_plan import GIB
from mrcontrast.stages.contract import Stage


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
