"""What a translation costs: the size of the networks, how often they run, memory."""

from typing import Any

import torch
from torch import nn

from mrcontrast.inference.memory_plan import GIB


def count_parameters(stage: nn.Module) -> int:
    """Return the parameters that a translation can use; those in training alone are left out.

    Args:
        stage: See ``mrcontrast.stages``; ``training_only`` names its parts that never translate.
    """
    idle = tuple(f"{name}." for name in getattr(stage, "training_only", ()))
    return sum(
        value.numel() for name, value in stage.named_parameters() if not name.startswith(idle)
    )


def network_calls(stage: Any, samples: int) -> int:  # noqa: ANN401 - any stage
    """Return how often a slice (2D) or volume (3D) goes through the network, all draws together.

    A ControlNet and its denoiser count as one; encoding and decoding do not count.

    Args:
        stage: See ``mrcontrast.stages``; ``calls_a_draw`` says it where its sampler does not, and
            ``calls_to_prepare`` what runs once for all draws.
        samples: Draws.
    """
    sampler = getattr(stage, "sampler", None)
    usual = int(count_parameters(stage) > 0) if sampler is None else sampler.num_calls
    once = int(getattr(stage, "calls_to_prepare", 0))
    return once + samples * int(getattr(stage, "calls_a_draw", usual))


def reset_peak(device: torch.device) -> None:
    """Forget the largest memory that was taken so far, where that is measured."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def cost_of(stage: nn.Module, samples: int, device: torch.device, estimate: int | None) -> dict:
    """Return what a sidecar says of costs.

    Args:
        stage: What translated.
        samples: Draws.
        device: Where it ran; on CUDA memory is measured.
        estimate: Bytes that were expected, see ``estimate_memory``; None if nobody asked.
    """
    source, peak = "estimate", estimate
    if device.type == "cuda":
        source, peak = "torch.cuda", torch.cuda.max_memory_allocated(device)
    return {
        "Parameters": count_parameters(stage),
        "NetworkCalls": network_calls(stage, samples),
        "PeakMemoryGiB": None if peak is None else round(peak / GIB, 3),
        "PeakMemoryFrom": None if peak is None else source,
    }
