"""Volumes on a model's own grid: slices that share their noise, and several draws as one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from mrcontrast import keys
from mrcontrast.errors import MrcontrastError
from mrcontrast.latents import crop, pad_to_multiple

Progress = Callable[[float], None]


class VolumeStage(Protocol):
    """What of a stage a translator needs; see ``mrcontrast.stages``."""

    source: str
    factor: int
    context_slices: int
    spatial_dims: int

    def noise_shape(self, image_shape: tuple[int, ...]) -> tuple[int, ...] | None:
        """Return (C, *S / f) of the noise of an image of axes (*S); None if it draws nothing."""

    def __call__(self, batch: keys.Batch, noise: Tensor | None) -> Tensor:
        """Return images (B, 1, *S) in [0, 1]."""


@dataclass(frozen=True)
class Drawing:
    """How volumes are drawn with a stage.

    All items of a volume start from one noise field, so that slices do not flicker. The field
    depends on the seed alone, so the batch size changes no result.

    Attributes:
        stage: In evaluation mode, on ``device``.
        samples: Draws of a volume; draw k starts from noise of seed + k.
        batch_size: Slices at once; 2D only.
        device: Where the stage runs.
    """

    stage: VolumeStage
    samples: int
    batch_size: int
    device: torch.device

    def draw(
        self, source: np.ndarray, mask: np.ndarray, seed: int, report: Progress
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Draw ``samples`` volumes.

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
        for k in range(self.samples):

            def report_draw(part: float, k: int = k) -> None:
                report((k + part) / self.samples)

            drawn = self.sample(image, brain, seed + k, report_draw)
            change = drawn - mean
            mean += change / (k + 1)
            squares += change * (drawn - mean)
        if not torch.isfinite(mean).all():
            raise MrcontrastError("Expected finite voxels, got NaN from the model. Train it again.")
        if self.samples == 1:
            return mean.clamp(0, 1).numpy(), None
        std = (squares / (self.samples - 1)).clamp_min(0).sqrt()
        return mean.clamp(0, 1).numpy(), std.numpy()

    def sample(self, image: Tensor, brain: Tensor, seed: int, report: Progress) -> Tensor:
        """Draw one volume (X, Y, Z), 0 off the brain."""
        form = self.slices if self.stage.spatial_dims == 2 else self.volume
        with memory_named(), seeded(seed, self.device), torch.inference_mode():
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
            result[:, :, z] = self.run(slabs, masks, seed)[:, 0].permute(1, 2, 0)
            report((done + len(z)) / len(chosen))
        return result

    def volume(self, image: Tensor, brain: Tensor, seed: int, report: Progress) -> Tensor:
        """Draw the whole of (X, Y, Z); the stage cuts tiles if it was told to."""
        result = self.run(image[None, None], brain[None, None], seed)[0, 0]
        report(1.0)
        return result

    def run(self, images: Tensor, masks: Tensor, seed: int) -> Tensor:
        """Run the stage on (B, C, *S) and masks (B, 1, *S), padded to axes that it can take."""
        padded = pad_to_multiple(images, self.stage.factor).to(self.device)
        inside = pad_to_multiple(masks.float(), self.stage.factor).to(self.device)
        batch: keys.Batch = {self.stage.source: padded, "brain_mask": inside}  # type: ignore[misc]
        shape = self.stage.noise_shape(tuple(padded.shape[2:]))
        noise = None
        if shape is not None:
            field = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
            noise = field.expand(len(padded), *shape).to(self.device)
        return crop(self.stage(batch, noise), images.shape[2:]).float().cpu()


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's own generators for what a sampler draws on its way; put them back after."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


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
