"""The optimiser of a stage together with its learning-rate schedule."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


@dataclass(frozen=True)
class Optimisation:
    """An optimiser, warmed up linearly and then decayed by half a cosine.

    Attributes:
        optimizer: Partial of a torch optimiser that wants only the parameters.
        warmup_steps: Optimiser steps over which the rate rises from 0 to its full value.
        final_lr_fraction: Rate at the last step over the full rate, in [0, 1]; 1 keeps it constant.

    Source: Loshchilov & Hutter 2017, arXiv 1608.03983, eq. 5, without restarts; the warm-up is that
    of Goyal et al. 2017, arXiv 1706.02677, section 2.2.
    """

    optimizer: Callable[[Iterable[Tensor]], Optimizer]
    warmup_steps: int = 0
    final_lr_fraction: float = 1.0

    def rate(self, step: int, total_steps: float) -> float:
        """Return the factor on the learning rate at an optimiser step.

        >>> plan = Optimisation(optimizer=None, warmup_steps=10, final_lr_fraction=0.1)
        >>> [round(plan.rate(step, 110), 3) for step in (0, 10, 60, 110)]
        [0.1, 1.0, 0.55, 0.1]
        """
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        decay_steps = max(total_steps - self.warmup_steps, 1)
        progress = min((step - self.warmup_steps) / decay_steps, 1.0)
        cosine = (1 + math.cos(math.pi * progress)) / 2
        return self.final_lr_fraction + (1 - self.final_lr_fraction) * cosine

    def configure(self, parameters: Iterable[Tensor], total_steps: float) -> dict[str, Any]:
        """Return what ``LightningModule.configure_optimizers`` wants.

        Args:
            parameters: Trainable parameters.
            total_steps: Optimiser steps of the whole training; infinite keeps the full rate.
        """
        optimizer = build_fused(self.optimizer, list(parameters))
        schedule = LambdaLR(optimizer, lambda step: self.rate(step, total_steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def build_fused(partial: Callable[..., Optimizer], parameters: Sequence[Tensor]) -> Optimizer:
    """Build an optimiser, fused into one pass over memory if all is on the CPU and it can be.

    A step then takes about half of the time, and the same up to rounding. On CUDA torch's own
    choice is as fast, and Lightning clips no gradients of fused optimisers in mixed precision.

    >>> import torch
    >>> build_fused(torch.optim.AdamW, [torch.zeros(2, requires_grad=True)]).defaults["fused"]
    True
    """
    arguments = signature(partial).parameters
    untold = "fused" in arguments and arguments["fused"].default is None
    on_cpu = all(parameter.device.type == "cpu" for parameter in parameters)
    fused = {"fused": True} if untold and on_cpu else {}
    return partial(parameters, **fused)
