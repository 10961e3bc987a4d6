"""The optimiser of a stage together with its learning-rate schedule."""

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Timer
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, distributed
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


@dataclass(frozen=True)
class Optimisation:
    """An optimiser, warmed up linearly and then decayed by half a cosine.

    The decay follows whichever ends a training first: its steps or, where ``trainer.max_time`` is
    set, its time.

    Source: Loshchilov & Hutter 2017, arXiv 1608.03983, eq. 5, without restarts; the warm-up is that
    of Goyal et al. 2017, arXiv 1706.02677, section 2.2.
    """

    optimizer: Callable[[Iterable[Tensor]], Optimizer]  # lacks only the parameters
    warmup_steps: int = 0  # over which the rate rises from 0 to its full value
    final_lr_fraction: float = 1.0  # rate at the last step over the full rate, in [0, 1]

    def rate(self, step: int, total_steps: float, time_share: float = 0.0) -> float:
        """Return the factor on the learning rate after so many optimiser steps of all.

        ``total_steps`` is infinite where only time ends the training, of which ``time_share`` is
        spent, in [0, 1]; 0 where there is no limit.

        >>> plan = Optimisation(optimizer=None, warmup_steps=10, final_lr_fraction=0.1)
        >>> [round(plan.rate(step, 110), 3) for step in (0, 10, 60, 110)]
        [0.1, 1.0, 0.55, 0.1]
        >>> round(plan.rate(60, float("inf"), time_share=0.5), 3)
        0.55
        """
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        decay_steps = max(total_steps - self.warmup_steps, 1)
        progress = min(max((step - self.warmup_steps) / decay_steps, time_share), 1.0)
        cosine = (1 + math.cos(math.pi * progress)) / 2
        return self.final_lr_fraction + (1 - self.final_lr_fraction) * cosine

    def configure(
        self, parameters: Iterable[Tensor], total_steps: float, trainer: Trainer | None = None
    ) -> OptimizerLRSchedulerConfig:
        """Return an optimiser and its schedule for ``LightningModule.configure_optimizers``.

        See ``rate`` for ``total_steps``; the ``max_time`` of the trainer counts, if there is one.
        """
        mixed = str(getattr(trainer, "precision", "")).endswith("-mixed")
        optimizer = build_fused(self.optimizer, list(parameters), mixed)
        schedule = LambdaLR(
            optimizer, lambda step: self.rate(step, total_steps, time_share(trainer))
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def time_share(trainer: Trainer | None) -> float:
    """Return which part of ``trainer.max_time`` a training has spent, in [0, 1]; 0 without limit.

    It goes on where a checkpoint stood. Validations count; what a stage does before and after its
    steps does not. Of several processes, whose clocks differ, all have the share of the first.
    """
    for timer in [] if trainer is None else trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(timer, Timer) and (left := timer.time_remaining()) is not None:
            spent = timer.time_elapsed()
            share = min(spent / max(spent + left, 1e-9), 1.0)
            return float(trainer.strategy.broadcast(share))  # type: ignore[union-attr]
    return 0.0


def build_fused(
    partial: Callable[..., Optimizer], parameters: Sequence[Tensor], mixed: bool = False
) -> Optimizer:
    """Build an optimiser, fused into one pass over memory if all is on the CPU and it can be.

    A step then takes half of the time. On CUDA torch's own choice is as fast. In ``mixed``
    precision Lightning clips no gradients of fused optimisers.

    >>> import torch
    >>> build_fused(torch.optim.AdamW, [torch.zeros(2, requires_grad=True)]).defaults["fused"]
    True
    """
    arguments = signature(partial).parameters
    untold = "fused" in arguments and arguments["fused"].default is None
    on_cpu = all(parameter.device.type == "cpu" for parameter in parameters)
    fused = {"fused": True} if untold and on_cpu and not mixed else {}
    return partial(parameters, **fused)


def descend(stage: LightningModule, optimizer: Any, loss: Tensor, clip: float | None) -> None:  # noqa: ANN401 - Lightning's wrapper
    """Take one optimiser step down a loss, for stages that step their own optimisers.

    Of several processes each computes its gradients alone, and those of this optimiser are then
    averaged. ``DistributedDataParallel`` averages those of all parameters in each backward pass,
    and ends the training where a loss does not reach some, as that of a discriminator. ``clip`` is
    the largest norm of the gradient, None for any.
    """
    optimizer.zero_grad()
    alone = getattr(stage.trainer.strategy, "block_backward_sync", nullcontext)
    with alone():
        stage.manual_backward(loss)
    average_gradients(optimizer)
    if clip is not None:  # fp16 gradients are still multiplied by the scale of the loss
        scaler = getattr(stage.trainer.precision_plugin, "scaler", None)
        scale = 1.0 if scaler is None else float(scaler.get_scale())
        stage.clip_gradients(optimizer, clip * scale, "norm")
    optimizer.step()


def average_gradients(optimizer: Any) -> None:  # noqa: ANN401 - Lightning's wrapper
    """Replace the gradients of an optimiser's parameters by their mean over all processes."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return
    parameters = (each for group in optimizer.param_groups for each in group["params"])
    gradients = [each.grad for each in parameters if each.grad is not None]
    mean = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(mean)
    mean /= distributed.get_world_size()
    parts = mean.split([gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))
