"""Sample volumes on a model's own grid, whole or slice by slice; mean and deviation of samples."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mrcontrast import keys
from mrcontrast.diffusion.sampling import Generators
from mrcontrast.errors import MrcontrastError
from mrcontrast.inference.field import (
    Box,
    field_remarks,
    in_field,
    lending_slices,
    out_of_field,
    usual_field,
    with_lenders,
)
from mrcontrast.inference.sampling_options import DEFAULTS, SamplingOptions
from mrcontrast.inference.slice_noise import NoiseInSteps, noise_field, slice_noise, stream
from mrcontrast.networks.lent_norms import has_group_norms, lent_norms
from mrcontrast.networks.padding import crop, pad_to_multiple
from mrcontrast.stages.contract import Stage

Progress = Callable[[float], None]
IN_STEPS = 2**32 - 1  # stream of a sample for the noise that its sampler adds in its steps


class Moments:
    """Mean and standard deviation of draws that come one after the other.

    Source: Welford 1962, Technometrics 4(3): equal draws give a deviation of exactly 0.
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean = self.squares = torch.zeros(())

    def add(self, drawn: Tensor) -> None:
        """Take another draw into account."""
        self.count += 1
        change = drawn - self.mean
        self.mean = self.mean + change / self.count
        self.squares = self.squares + change * (drawn - self.mean)

    @property
    def std(self) -> Tensor:
        """The standard deviation over draws, n - 1 in the denominator; 0 for one draw."""
        return (self.squares / max(self.count - 1, 1)).clamp_min(0).sqrt()


@dataclass(frozen=True)
class VolumeSampler:
    """Sample volumes with a stage.

    The noise of a slice, at the start and at each step, depends on the seed and its place alone, so
    the batch size changes no result.
    """

    stage: Stage  # in evaluation mode, with the sampler of the options
    options: SamplingOptions
    batch_size: int  # slices at once; 2D only
    device: torch.device  # of the stage
    trained: tuple[int, int, int] | None = None  # axes of training, for usual_field

    def sample(
        self,
        source: np.ndarray,
        mask: np.ndarray,
        seed: int,
        report: Progress,
        field: np.ndarray | None = None,
        tags: Mapping[str, Any] | None = None,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Sample ``options.samples`` volumes, each with noise of its own.

        Args:
            source: (N, X, Y, Z), or (X, Y, Z), normalised to [0, 1], on the model's spacing; NaN
        throughout for one that is absent.
            mask: (X, Y, Z), bool.
            seed: Seed of the first sample.
            report: Called with the share that is done, in [0, 1].
            field: (X, Y, Z), bool, the field of view; beyond it context slices repeat the last one.
            tags: Tags by name, see ``mrcontrast.networks.tags``; None says nothing.

        Returns the mean in [0, 1], and the standard deviation or None for one sample; 0 off the
        mask.
        """
        brain = torch.from_numpy(mask)
        sources = source.reshape(-1, *mask.shape)
        there = ~np.isnan(sources).all(axis=(1, 2, 3))
        inside = np.where(mask & there[:, None, None, None], sources, 0).astype(np.float32)
        known: keys.Batch = {"tags": [dict(tags or {})]}
        if self.stage.optional:
            known["present"] = torch.from_numpy(there)[None].float()
        if field is not None and self.stage.spatial_dims == 2 and self.stage.context_slices:
            inside = np.stack([repeat_ends(image, field) for image in inside])
        form = self.slices if self.stage.spatial_dims == 2 else self.volume
        box = self.box(mask)
        image, present = (in_field(volume, box) for volume in (torch.from_numpy(inside), brain))
        with memory_errors(), torch.inference_mode():
            sampled = form(image, present, seed, report, known)
        mean, std = (out_of_field(part, box, brain.shape) for part in sampled)
        if not torch.isfinite(mean).all():
            raise MrcontrastError("Expected finite voxels, got NaN from the model. Train it again.")
        several = self.options.samples > 1
        return (mean.clamp(0, 1) * brain).numpy(), (std * brain).numpy() if several else None

    def box(self, mask: np.ndarray) -> Box:
        """Return the part of a volume that the stage works on, for the brain (X, Y, Z)."""
        if self.trained is None or not self.needs_field or not mask.any():
            return [(0, n) for n in mask.shape]
        return usual_field(mask, self.trained, self.stage.spatial_dims, self.stage.factor)

    def remarks(self, mask: np.ndarray, spacing_mm: float) -> tuple[str, ...]:
        """Return a remark where the field of a brain (X, Y, Z) is unlike those of training."""
        return field_remarks(mask, self.stage.spatial_dims, spacing_mm) if self.needs_field else ()

    @property
    def needs_field(self) -> bool:
        """Whether the level of an output depends on how much of the field is empty."""
        return self.trained is not None and has_group_norms(self.stage)

    def slices(
        self, image: Tensor, brain: Tensor, seed: int, report: Progress, known: keys.Batch
    ) -> tuple[Tensor, Tensor]:
        """Sample the axial slices of (N, X, Y, Z) that hold brain; the others stay 0."""
        mean, std = torch.zeros(brain.shape), torch.zeros(brain.shape)
        chosen = brain.any(0).any(0).nonzero().flatten()
        steps = torch.arange(-self.stage.context_slices, self.stage.context_slices + 1)
        lending = lending_slices(brain) if self.needs_field else torch.arange(brain.shape[2])
        for done in range(0, len(chosen), self.batch_size):
            z = chosen[done : done + self.batch_size]
            rows, lenders = with_lenders(z, lending)
            around = (rows[:, None] + steps).clamp(0, brain.shape[2] - 1)  # (B, 1 + 2k)
            slabs = image[..., around].permute(3, 0, 4, 1, 2).flatten(1, 2)  # (B, N (1 + 2k), X, Y)
            masks = brain[:, :, rows].permute(2, 0, 1).unsqueeze(1)

            def progress(part: float, before: int = done, size: int = len(z)) -> None:
                report((before + part * size) / len(chosen))

            with lent_norms(self.stage, lenders):
                moments = self.moments(slabs, masks, seed, progress, known, rows)
            for whole, part in ((mean, moments.mean), (std, moments.std)):
                whole[:, :, z] = part[: len(z), 0].permute(1, 2, 0)
        return mean, std

    def volume(
        self, image: Tensor, brain: Tensor, seed: int, report: Progress, known: keys.Batch
    ) -> tuple[Tensor, Tensor]:
        """Sample the whole of (N, X, Y, Z), in tiles if the stage has any."""
        moments = self.moments(image[None], brain[None, None], seed, report, known)
        return moments.mean[0, 0], moments.std[0, 0]

    def moments(
        self,
        images: Tensor,
        masks: Tensor,
        seed: int,
        report: Progress,
        known: keys.Batch,
        z: Tensor | None = None,
    ) -> Moments:
        """Return mean and deviation of the samples (B, 1, *S).

        Images (B, C, *S) and masks (B, 1, *S) are padded to axes that the stage can take; ``known``
        is a batch of one with tags and presence; ``z`` are the places (B,) of slices in their
        volume, None for a whole volume.
        """
        padded = pad_to_multiple(images, self.stage.factor).to(self.device)
        inside = pad_to_multiple(masks.float(), self.stage.factor).to(self.device)
        batch: keys.Batch = {self.stage.takes: padded, "brain_mask": inside}  # type: ignore[misc]
        batch["tags"] = known["tags"] * len(padded)
        if "present" in known:
            batch["present"] = known["present"].expand(len(padded), -1).to(self.device)
        shape = self.stage.noise_shape(tuple(padded.shape[2:]))
        moments, mixed = Moments(), self.options.precision == "bf16-mixed"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=mixed):
            batch = self.stage.prepare(batch)
            for k in range(self.options.samples):
                noise = [None] if shape is None else self.noise(shape, stream(seed, k), z)
                sample = self.stage(batch, *noise)
                moments.add(crop(sample, images.shape[2:]).float().cpu())
                report(moments.count / self.options.samples)
        return moments

    def noise(
        self, shape: tuple[int, ...], seed: int, z: Tensor | None
    ) -> tuple[Tensor, Generators]:
        """Return the noise (B, C, *S / f) of a sample, and the source of the later noise."""
        later: Generators
        if z is None:
            noise = noise_field(shape, seed).unsqueeze(0)
            later = [torch.Generator().manual_seed(stream(seed, IN_STEPS))]
        else:
            noise = slice_noise(shape, seed, z, self.options.noise_turn)
            later = NoiseInSteps(stream(seed, IN_STEPS), z, self.options.noise_turn)
        assert self.options.temperature is not None
        return self.options.temperature * noise.to(self.device), later

    def describe(self) -> dict[str, Any]:
        """Return what decides a sample besides weights and seed, as JSON."""
        stage, options = self.stage, self.options
        usual = options.precision == DEFAULTS.precision  # which older sidecars do not name
        ending = {**({} if usual else {"Precision": options.precision}), "Samples": options.samples}
        if options.negative:
            ending["NegativePrompt"] = options.negative
        if stage.sampler is None:
            guided = {} if stage.guidance in (None, 1) else {"Guidance": stage.guidance}
            return {"Sampler": None, "Steps": None, **guided, **ending}
        settings = {
            name: value
            for name, value in sorted(vars(stage.sampler).items())
            if not name.startswith("_") and isinstance(value, int | float | str)
        }
        return {
            "Sampler": type(stage.sampler).__name__,
            "Steps": stage.sampler.num_steps,
            "SamplerSettings": settings,
            **({} if stage.start == 1 else {"Start": stage.start}),
            **({} if stage.guidance is None else {"Guidance": stage.guidance}),
            **({"NoiseTurn": options.noise_turn} if stage.spatial_dims == 2 else {}),
            "Temperature": options.temperature,
            **ending,
        }


def repeat_ends(image: np.ndarray, field: np.ndarray) -> np.ndarray:
    """Continue an image (X, Y, Z) along z beyond its field of view (X, Y, Z) by its last voxels."""
    depth = image.shape[2]
    first, last = field.argmax(axis=2), depth - 1 - field[:, :, ::-1].argmax(axis=2)
    nearest = np.clip(np.arange(depth), first[:, :, None], last[:, :, None])
    return np.take_along_axis(image, nearest, axis=2)


@contextmanager
def memory_errors() -> Iterator[None]:
    """Turn errors of memory into one line with advice."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise MrcontrastError(
            "Expected a volume that fits in memory, got more than there is. "
            "Lower --batch-size (2D) or --tile (3D), or take another --device."
        ) from error
