"""Count the cost of a training on tensors that have shapes and no values."""

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from mrcontrast.config.build import build
from mrcontrast.errors import UsageError

if TYPE_CHECKING:
    from mrcontrast import keys
    from mrcontrast.stages.contract import Stage

STATES = {"Adam": 2, "AdamW": 2, "SGD": 0}  # float32 copies of the weights that an optimiser keeps


@dataclass(frozen=True)
class Cost:
    """Cost of one training."""

    name: str
    trained: int  # parameters that learn
    parameters: int  # all of them, frozen ones included
    batch_size: int  # items a step and device
    images: int | None  # items of the whole training, repeats counted; None if time alone ends it
    memory: int  # bytes at the peak of a step, on one device
    flops: float  # of forward and backward for one item
    most_hours: float | None = None  # GPU hours that trainer.max_time allows

    def hours(self, flops_per_s: float) -> float:
        """Return the GPU hours at a rate."""
        counted = inf if self.images is None else self.images * self.flops / flops_per_s / 3600
        return min(counted, inf if self.most_hours is None else self.most_hours)


def cost_of_training(name: str, config: DictConfig, shape: list[int], items: int | None) -> Cost:
    """Return what a training takes.

    The config is resolved and has the parts of its parents; an item has axes ``shape`` (*S). Raises
    UsageError if nothing ends the training, or its epochs need the number of ``items``.
    """
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.utils.flop_counter import FlopCounterMode

    from mrcontrast.networks.memory import LiveBytes, weight_bytes

    batch_size = config.data.batch_size
    with FakeTensorMode(allow_non_fake_inputs=True):
        stage = build_without_values(config.stage)
        batch = batch_without_values(stage, config, batch_size, shape)
        watch, counter = LiveBytes(), FlopCounterMode(display=False)
        mixed = str(config.trainer.precision) in ("16-mixed", "bf16-mixed")
        autocast = torch.autocast("cpu", torch.bfloat16, enabled=mixed)
        with watch, counter, autocast:
            for loss in stage.each_loss(batch):
                loss.backward()  # no optimiser steps
    weights = [value for value in stage.parameters() if value.requires_grad]
    trained = sum(value.numel() for value in weights)
    return Cost(
        name=name,
        trained=trained,
        parameters=sum(value.numel() for value in stage.parameters()),
        batch_size=batch_size,
        images=images_seen(config, items),
        memory=weight_bytes(stage) + 4 * trained * copies(config) + watch.peak,
        flops=counter.get_total_flops() / batch_size,
        most_hours=most_hours(config.trainer),
    )


def build_without_values(node: DictConfig) -> "Stage":
    """Build a stage in a ``FakeTensorMode``: its tensors have shapes and no values.

    The diffusion process, which checks its schedule, and the network of a perceptual loss keep
    their values.
    """
    from torch._subclasses.fake_tensor import unset_fake_temporarily

    from mrcontrast.losses.perceptual import PerceptualLoss
    from mrcontrast.stages.contract import check_stage

    parts = {key: value for key, value in node.items() if key not in ("checkpoint", "process")}
    with unset_fake_temporarily():
        process = {"process": build(node.process)} if "process" in node else {}
    stage = check_stage(build(parts, **process))
    for part in stage.modules():
        if isinstance(part, PerceptualLoss) and part.source is not None:
            with unset_fake_temporarily():
                part.loaded = [part.source()]
    return stage.train()


def batch_without_values(
    stage: "Stage", config: DictConfig, batch_size: int, shape: list[int]
) -> "keys.Batch":
    """Return a training batch, with latents in it if the stage stores them."""
    import torch

    from mrcontrast.stages.latent_stage import LatentStage

    slices = len(stage.source) * (1 + 2 * config.data.context_slices)
    batch: keys.Batch = {
        "source": torch.empty(batch_size, slices, *shape),
        "target": torch.empty(batch_size, 1, *shape),
        "brain_mask": torch.empty(batch_size, 1, *shape),
    }
    if isinstance(stage, LatentStage) and stage.store is not None:
        latent = stage.codec.latent_shape(shape)
        batch["target_mean"] = torch.empty(batch_size, *latent)
        batch["target_sigma"] = torch.empty(batch_size, *latent)
    return batch


def images_seen(config: DictConfig, items: int | None) -> int | None:
    """Return how many items a training sees, repeats counted; None if time alone ends it.

    Where two optimisers take turns, each counts in its steps. See ``cost_of_training`` for errors.
    """
    trainer = config.trainer
    if trainer.max_epochs > 0:
        if items is None:
            raise UsageError(
                f"Expected the number of training items, got none (study.size.items): epochs end "
                f"{config.name}. Add +study.size.items=N."
            )
        return trainer.max_epochs * items
    if (steps := trainer.max_steps) < 0:
        if trainer.max_time is not None:
            return None
        raise UsageError(
            f"Expected a training that ends by steps, epochs or time, got trainer.max_steps={steps}"
            f" ({config.name}). Set study.common to trainer.max_steps=N."
        )
    if (start := config.stage.get("adversarial_start_step")) is not None and steps > start:
        steps = start + (steps - start) // 2
    return steps * trainer.accumulate_grad_batches * config.data.batch_size * devices_of(trainer)


def most_hours(trainer: DictConfig) -> float | None:
    """Return the GPU hours that ``max_time`` allows, None without a limit."""
    from lightning.pytorch.callbacks import Timer

    seconds = Timer(trainer.max_time).time_remaining()
    return None if seconds is None else seconds * devices_of(trainer) / 3600


def devices_of(trainer: DictConfig) -> int:
    """Return the number of devices, 1 where it is found when training begins."""
    return trainer.devices if isinstance(trainer.devices, int) else 1


def copies(config: DictConfig) -> int:
    """Return the number of further float32 copies of the trained weights, gradients excluded."""
    optimizer = config.stage.optimisation.optimizer._target_.rsplit(".", 1)[-1]
    average = (config.get("callbacks") or {}).get("ema")
    return STATES.get(optimizer, 2) + int(average is not None)
