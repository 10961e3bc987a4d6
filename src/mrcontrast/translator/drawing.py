"""Volumes on a model's own grid: whole or slice by slice, and several draws as one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from mrcontrast import keys
from mrcontrast.diffusion.sampling import Generators
from mrcontrast.draws import Draws
from mrcontrast.errors import MrcontrastError
from mrcontrast.latents import crop, pad_to_multiple
from mrcontrast.translator.slice_noise import noise_field, slice_noise, stream

Progress = Callable[[float], None]
ON_THE_WAY = 2**32 - 1  # stream of a draw for what its sampler draws on its way


class VolumeStage(Protocol):
    """What of a stage a translator needs; see ``mrcontrast.stages``."""

    source: str
    factor: int
    context_slices: int
    spatial_dims: int

    def noise_shape(self, image_shape: tuple[int, ...]) -> tuple[int, ...] | None:
        """Return (C, *S / f) of the noise of an image of axes (*S); None if it draws nothing."""

    def __call__(
        self, batch: keys.Batch, noise: Tensor | None, generator: Generators = None
    ) -> Tensor:
        """Return images (B, 1, *S) in [0, 1]; the last two only if it draws."""


@dataclass(frozen=True)
class Drawing:
    """How volumes are drawn with a stage.

    The noise of a slice depends on the seed and its place alone, and what a sampler draws on its
    way on the seed alone, so the batch size changes no result.

    Attributes:
        stage: In evaluation mode, on ``device``.
        draws: How often, from what noise, in what precision.
        batch_size: Slices at once; 2D only.
        device: Where the stage runs.
    """

    stage: VolumeStage
    draws: Draws
    batch_size: int
    device: torch.device

    def draw(
        self, source: np.ndarray, mask: np.ndarray, seed: int, report: Progress
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Draw ``draws.samples`` volumes, each with noise of its own.

        Args:
            source: (X, Y, Z), normalised to [0, 1], on the model's spacing.
            mask: (X, Y, Z), bool.
            seed: Of the first draw.
            report: Called with the part that is done, in [0, 1].

        Returns:
            Mean in [0, 1], and standard deviation or None for one draw; float32, 0 off the mask.

        Raises:
            MrcontrastError: The model gives NaN, or memory runs out.

        Source: Welford 1962, Technometrics 4(3): equal draws give a deviation of exactly 0.
        """
        brain = torch.from_numpy(mask)
        image = torch.from_numpy(np.where(mask, source, 0).astype(np.float32))
        mean, squares = torch.zeros_like(image), torch.zeros_like(image)
        for k in range(self.draws.samples):

            def report_draw(part: float, k: int = k) -> None:
                report((k + part) / self.draws.samples)

            drawn = self.sample(image, brain, stream(seed, k), report_draw)
            change = drawn - mean
            mean += change / (k + 1)
            squares += change * (drawn - mean)
        if not torch.isfinite(mean).all():
            raise MrcontrastError("Expected finite voxels, got NaN from the model. Train it again.")
        if self.draws.samples == 1:
            return mean.clamp(0, 1).numpy(), None
        std = (squares / (self.draws.samples - 1)).clamp_min(0).sqrt()
        return mean.clamp(0, 1).numpy(), std.numpy()

    def sample(self, image: Tensor, brain: Tensor, seed: int, report: Progress) -> Tensor:
        """Draw one volume (X, Y, Z), 0 off the brain."""
        form = self.slices if self.stage.spatial_dims == 2 else self.volume
        with memory_named(), torch.inference_mode():
            drawn = form(image, brain, seed, report)
        return drawn * brain

    def slices(self, image: Tensor, brain: Tensor, seed: int, report: Progress) -> Tensor:
        """Draw the axial slices of (X, Y, Z) that hold brain; the others stay 0."""
        result = torch.zeros_like(image)
        chosen = brain.any(0).any(0).nonzero().flatten()
        steps = torch.arange(-self.stage.context_slices, self.stage.context_slices + 1)
        for done in range(0, len(chosen), self.batch_size):
            z = chosen[done : done + self.batch_size]
            around = (z[:, None] + steps).clamp(0, image.shape[2] - 1)  # (B, 1 + 2k)
            slabs = image[:, :, around].permute(2, 3, 0, 1)  # (B, 1 + 2k, X, Y)
            masks = brain[:, :, z].permute(2, 0, 1).unsqueeze(1)
            result[:, :, z] = self.run(slabs, masks, seed, z)[:, 0].permute(1, 2, 0)
            report((done + len(z)) / len(chosen))
        return result

    def volume(self, image: Tensor, brain: Tensor, seed: int, report: Progress) -> Tensor:
        """Draw the whole of (X, Y, Z); the stage cuts tiles if it was told to."""
        result = self.run(image[None, None], brain[None, None], seed, None)[0, 0]
        report(1.0)
        return result

    def run(self, images: Tensor, masks: Tensor, seed: int, z: Tensor | None) -> Tensor:
        """Run the stage on (B, C, *S) and masks (B, 1, *S), padded to axes that it can take.

        ``z`` are the places (B,) of slices in their volume; None for a whole volume.
        """
        padded = pad_to_multiple(images, self.stage.factor).to(self.device)
        inside = pad_to_multiple(masks.float(), self.stage.factor).to(self.device)
        batch: keys.Batch = {self.stage.source: padded, "brain_mask": inside}  # type: ignore[misc]
        shape = self.stage.noise_shape(tuple(padded.shape[2:]))
        if shape is None:
            return crop(self.call(batch, None), images.shape[2:]).float().cpu()
        if z is None:
            noise = noise_field(shape, seed).unsqueeze(0)
        else:
            noise = slice_noise(shape, seed, z, self.draws.noise_turn)
        later = [torch.Generator().manual_seed(stream(seed, ON_THE_WAY)) for _ in padded]
        drawn = self.call(batch, self.draws.temperature * noise.to(self.device), later)
        return crop(drawn, images.shape[2:]).float().cpu()

    def call(self, batch: keys.Batch, *drawn: Any) -> Tensor:  # noqa: ANN401 - as the stage
        """Call the stage in the precision that was asked for."""
        mixed = self.draws.precision == "bf16-mixed"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=mixed):
            return self.stage(batch, *drawn)


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
