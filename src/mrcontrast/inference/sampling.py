"""Volumes on a model's own grid: whole or slice by slice, and several draws as one."""

from collections.abc import Callable, Iterator
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
from mrcontrast.inference.moments import Moments
from mrcontrast.inference.sampling_options import Draws
from mrcontrast.inference.slice_noise import NoiseOnTheWay, noise_field, slice_noise, stream
from mrcontrast.networks.lent_norms import has_group_norms, lent_norms
from mrcontrast.networks.padding import crop, pad_to_multiple
from mrcontrast.stages.contract import Stage

Progress = Callable[[float], None]
ON_THE_WAY = 2**32 - 1  # stream of a draw for the noise that its sampler adds step by step


@dataclass(frozen=True)
class Drawing:
    """How volumes are drawn with a stage.

    The noise of a slice, at the start and at each step, depends on the seed and its place alone, so
    the batch size changes no result.

    Attributes:
        stage: In evaluation mode, on ``device``.
        draws: How often, from what noise, in what precision.
        batch_size: Slices at once; 2D only.
        device: Where the stage runs.
        trained: Axes of the volumes that the stage was trained on; where its norms see the field,
            larger fields and slabs get as much background as there was (``usual_field``). None
            changes no field.
    """

    stage: Stage
    draws: Draws
    batch_size: int
    device: torch.device
    trained: tuple[int, int, int] | None = None

    def draw(
        self,
        source: np.ndarray,
        mask: np.ndarray,
        seed: int,
        report: Progress,
        field: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Draw ``draws.samples`` volumes, each with noise of its own.

        Args:
            source: (N, X, Y, Z), or (X, Y, Z) for one, normalised to [0, 1], on the model's
                spacing.
            mask: (X, Y, Z), bool.
            seed: Of the first draw.
            report: Called with the part that is done, in [0, 1].
            field: (X, Y, Z), bool, the field of view; beyond it context slices repeat the last
                one. None: the field of view is the volume.

        Returns:
            Mean in [0, 1], and standard deviation or None for one draw; float32, 0 off the mask.

        Raises:
            MrcontrastError: The model gives NaN, or memory runs out.
        """
        brain = torch.from_numpy(mask)
        inside = np.where(mask, source, 0).astype(np.float32).reshape(-1, *mask.shape)
        if field is not None and self.stage.spatial_dims == 2 and self.stage.context_slices:
            inside = np.stack([repeat_ends(image, field) for image in inside])
        form = self.slices if self.stage.spatial_dims == 2 else self.volume
        box = self.box(mask)
        image, present = (in_field(volume, box) for volume in (torch.from_numpy(inside), brain))
        with memory_named(), torch.inference_mode():
            drawn = form(image, present, seed, report)
        mean, std = (out_of_field(part, box, brain.shape) for part in drawn)
        if not torch.isfinite(mean).all():
            raise MrcontrastError("Expected finite voxels, got NaN from the model. Train it again.")
        several = self.draws.samples > 1
        return (mean.clamp(0, 1) * brain).numpy(), (std * brain).numpy() if several else None

    def box(self, mask: np.ndarray) -> Box:
        """Return the part of a volume that the stage works on, for the brain (X, Y, Z)."""
        if self.trained is None or not self.sees_field or not mask.any():
            return [(0, n) for n in mask.shape]
        return usual_field(mask, self.trained, self.stage.spatial_dims, self.stage.factor)

    def remarks(self, mask: np.ndarray, spacing_mm: float) -> tuple[str, ...]:
        """Say where the field of a brain (X, Y, Z) is unlike all fields of training."""
        return field_remarks(mask, self.stage.spatial_dims, spacing_mm) if self.sees_field else ()

    @property
    def sees_field(self) -> bool:
        """Whether the level of an output depends on how much of the field is empty."""
        return self.trained is not None and has_group_norms(self.stage)

    def slices(
        self, image: Tensor, brain: Tensor, seed: int, report: Progress
    ) -> tuple[Tensor, Tensor]:
        """Draw the axial slices of (N, X, Y, Z) that hold brain; the others stay 0."""
        mean, std = torch.zeros(brain.shape), torch.zeros(brain.shape)
        chosen = brain.any(0).any(0).nonzero().flatten()
        steps = torch.arange(-self.stage.context_slices, self.stage.context_slices + 1)
        lending = lending_slices(brain) if self.sees_field else torch.arange(brain.shape[2])
        for done in range(0, len(chosen), self.batch_size):
            z = chosen[done : done + self.batch_size]
            rows, lenders = with_lenders(z, lending)
            around = (rows[:, None] + steps).clamp(0, brain.shape[2] - 1)  # (B, 1 + 2k)
            slabs = image[..., around].permute(3, 0, 4, 1, 2).flatten(1, 2)  # (B, N (1 + 2k), X, Y)
            masks = brain[:, :, rows].permute(2, 0, 1).unsqueeze(1)
            moments = Moments()
            with lent_norms(self.stage, lenders):
                for drawn in self.run(slabs, masks, seed, rows):
                    moments.add(drawn[: len(z), 0].permute(1, 2, 0))
                    part = moments.count / self.draws.samples
                    report((done + part * len(z)) / len(chosen))
            mean[:, :, z], std[:, :, z] = moments.mean, moments.std
        return mean, std

    def volume(
        self, image: Tensor, brain: Tensor, seed: int, report: Progress
    ) -> tuple[Tensor, Tensor]:
        """Draw the whole of (N, X, Y, Z); the stage cuts tiles if it was told to."""
        moments = Moments()
        for drawn in self.run(image[None], brain[None, None], seed, None):
            moments.add(drawn[0, 0])
            report(moments.count / self.draws.samples)
        return moments.mean, moments.std

    def run(self, images: Tensor, masks: Tensor, seed: int, z: Tensor | None) -> Iterator[Tensor]:
        """Yield each draw (B, 1, *S) for (B, C, *S) and masks (B, 1, *S).

        All are padded to axes that the stage can take. What draws share is computed only once.
        ``z`` are the places (B,) of slices in their volume; None for a whole volume.
        """
        padded = pad_to_multiple(images, self.stage.factor).to(self.device)
        inside = pad_to_multiple(masks.float(), self.stage.factor).to(self.device)
        batch: keys.Batch = {self.stage.takes: padded, "brain_mask": inside}  # type: ignore[misc]
        shape = self.stage.noise_shape(tuple(padded.shape[2:]))
        batch = self.precisely(self.stage.prepare, batch)
        for k in range(self.draws.samples):
            random = [None] if shape is None else self.random(shape, stream(seed, k), z)
            drawn = self.precisely(self.stage, batch, *random)
            yield crop(drawn, images.shape[2:]).float().cpu()

    def random(
        self, shape: tuple[int, ...], seed: int, z: Tensor | None
    ) -> tuple[Tensor, Generators]:
        """Return the noise (B, C, *S / f) of a draw, and the source of the later noise."""
        later: Generators
        if z is None:
            noise = noise_field(shape, seed).unsqueeze(0)
            later = [torch.Generator().manual_seed(stream(seed, ON_THE_WAY))]
        else:
            noise = slice_noise(shape, seed, z, self.draws.noise_turn)
            later = NoiseOnTheWay(stream(seed, ON_THE_WAY), z, self.draws.noise_turn)
        return self.draws.temperature * noise.to(self.device), later

    def precisely(self, function: Callable[..., Any], *arguments: Any) -> Any:  # noqa: ANN401 - as it
        """Call in the precision that was asked for."""
        mixed = self.draws.precision == "bf16-mixed"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=mixed):
            return function(*arguments)


def repeat_ends(image: np.ndarray, field: np.ndarray) -> np.ndarray:
    """Continue an image (X, Y, Z) along z beyond its field of view (X, Y, Z) by its last voxels."""
    depth = image.shape[2]
    first, last = field.argmax(axis=2), depth - 1 - field[:, :, ::-1].argmax(axis=2)
    nearest = np.clip(np.arange(depth), first[:, :, None], last[:, :, None])
    return np.take_along_axis(image, nearest, axis=2)


@contextmanager
def memory_named() -> Iterator[None]:
    """Say on one line that memory has run out, and what helps.

    Raises:
        MrcontrastError: It has.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise MrcontrastError(
            "Expected a volume that fits in memory, got more than there is. "
            "Lower --batch-size (2D) or --tile (3D), or take another --device."
        ) from error
