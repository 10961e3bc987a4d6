"""Make a translation fit into memory before it starts, by tiles, or refuse it."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from mrcontrast import keys
from mrcontrast.diffusion.sampling import Predict
from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.networks.memory import LiveBytes, weight_bytes
from mrcontrast.networks.tiling import Tiling
from mrcontrast.stages.contract import Stage
from mrcontrast.stages.latent_stage import LatentStage
from mrcontrast.storage.memory import free_memory, held_memory

log = logging.getLogger(__name__)

GIB = 1024**3
USABLE = 0.95  # of the memory that is there
FRACTIONS = (0.75, 0.5, 0.375, 0.25)  # of the longest axis, for tiles
KERNEL_SHARE = 0.05  # of the live tensors: allocations of the kernels themselves
KERNEL_BYTES = 32 * 1024**2  # the same, however small the tensors
VOLUME_COPIES = 12  # float32 volumes around the stage: source, mask, mean, deviation, resampled


@dataclass(frozen=True)
class Tiles:
    """Largest windows of autoencoder and denoiser (with ControlNet), in image voxels; None: all."""

    codec: int | None = None
    denoiser: int | None = None

    @classmethod
    def from_text(cls, text: str) -> "Tiles":
        """Read "N" (both) or "N,M" (autoencoder, denoiser); 0 takes all at once.

        >>> Tiles.from_text("96,0")
        Tiles(codec=96, denoiser=None)
        """
        parts = text.split(",")
        if len(parts) > 2 or not all(part.strip().isdecimal() for part in parts):
            raise UsageError(f"Expected --tile N or N,M in voxels, got {text}. Pass --tile 96.")
        return cls(int(parts[0]) or None, int(parts[-1]) or None)

    def __str__(self) -> str:
        return f"{self.codec or 0},{self.denoiser or 0}"


@dataclass
class MemoryPlan:
    """Chooses the tiles of a stage for each size of image."""

    stage: Stage  # its tiling is set
    batch_size: int  # slices at once; 2D only
    tiles: Tiles | None = None  # what to use; None takes the largest that fit
    chosen: dict[tuple[int, ...], Tiles] = field(default_factory=dict)  # by axes of images
    needed: dict[tuple[int, ...], int] = field(default_factory=dict)  # bytes

    def __post_init__(self) -> None:
        if self.tiles is None or self.tiles == Tiles():
            return
        if self.stage.spatial_dims == 2 or not isinstance(self.stage, LatentStage):
            raise UsageError(
                f"Expected a 3D model with a latent, got {type(self.stage).__name__} in "
                f"{self.stage.spatial_dims}D (--tile). Leave --tile out."
            )
        self.install(self.tiles)

    def fit(self, volume_shape: tuple[int, int, int]) -> Tiles:
        """Set tiles for volumes (X, Y, Z) on the model's grid; MrcontrastError if none fit."""
        image_shape = self.image_shape(volume_shape)
        if image_shape in self.chosen:
            self.install(self.chosen[image_shape])
            return self.chosen[image_shape]
        count = min(self.batch_size, volume_shape[2]) if len(image_shape) == 2 else 1
        free = available_memory(self.stage.device)
        least = 0
        for tiles in self.candidates(image_shape):
            self.install(tiles)
            needed = estimate_memory(self.stage, image_shape, count)
            least = min(needed, least or needed)
            if needed - weight_bytes(self.stage) <= USABLE * free:
                log.info(self.line(needed, free, image_shape, count))
                self.chosen[image_shape], self.needed[image_shape] = tiles, needed
                return tiles
        advice = "Free some memory" if self.tiles is None else "Pass a smaller --tile"
        if self.stage.spatial_dims == 2:
            advice = "Lower --batch-size"
        raise MrcontrastError(
            f"Expected a volume that fits in memory, got one of about {least / GIB:.1f} GiB "
            f"where {free / GIB:.1f} are free. {advice}, or take another --device."
        )

    def image_shape(self, volume_shape: tuple[int, int, int]) -> tuple[int, ...]:
        """Return the axes of the images that a volume (X, Y, Z) is given to the stage as."""
        axes = volume_shape[: self.stage.spatial_dims]
        return tuple(size + -size % self.stage.factor for size in axes)

    def estimate(self, volume_shape: tuple[int, int, int]) -> int | None:
        """Return the bytes that a volume (X, Y, Z) was found to need; None before ``fit``."""
        return self.needed.get(self.image_shape(volume_shape))

    def candidates(self, image_shape: tuple[int, ...]) -> Iterator[Tiles]:
        """Yield tiles, those with the most at once first."""
        if self.tiles is not None:
            yield self.tiles
            return
        yield Tiles()
        if not isinstance(self.stage, LatentStage) or self.stage.spatial_dims == 2:
            return
        cell = self.stage.codec.multiple
        sizes = {int(part * max(image_shape)) // cell * cell for part in FRACTIONS}
        sizes = {size for size in sizes if size >= 2 * cell}
        yield from (Tiles(size) for size in sorted(sizes, reverse=True))
        yield from (Tiles(size, size) for size in sorted(sizes, reverse=True))

    def install(self, tiles: Tiles) -> None:
        """Set the tiling of codec and denoiser."""
        if not isinstance(self.stage, LatentStage):
            return
        for part, voxels in ((self.stage.codec, tiles.codec), (self.stage, tiles.denoiser)):
            old: Tiling = part.tiling
            part.tiling = Tiling(voxels, old.overlap, old.multiple, old.passes)

    def line(self, needed: int, free: int, image_shape: tuple[int, ...], count: int) -> str:
        """Say what a volume takes, with all that this process holds already, and how it is cut."""
        if self.stage.device.type == "cpu":
            needed += held_memory() - weight_bytes(self.stage)
        if len(image_shape) == 2:
            form = f"{count} slices at once"
        elif not isinstance(self.stage, LatentStage):
            form = "the volume at once"
        else:
            cells = [size // self.stage.codec.multiple for size in image_shape]
            tilings = {"autoencoder": self.stage.codec.tiling, "denoiser": self.stage.tiling}
            form = ", ".join(
                f"{name} in {len(tiling.windows(cells))} tiles of {tiling.tile_voxels} voxels"
                if tiling.cuts(cells)
                else f"{name} whole"
                for name, tiling in tilings.items()
            )
        return f"about {needed / GIB:.1f} GiB of memory of {free / GIB:.1f} free; {form}"


def available_memory(device: torch.device) -> int:
    """Return the bytes that can still be allocated on a device."""
    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + cached
    return free_memory()


def estimate_memory(stage: Stage, image_shape: tuple[int, ...], batch_size: int = 1) -> int:
    """Return the bytes that a stage takes at its peak, weights included.

    The stage runs on tensors without values, (B, C, *S) with *S multiples of ``stage.factor``, and
    every operator is counted: the peak is the largest sum of tensors alive at once. Kernels,
    weights and ``VOLUME_COPIES`` volumes are added. Eight runs on a CPU of 0.1 to 1.5 GiB took 16 %
    more to 10 % less than the estimate. Small tiles of small networks can take 0.2 GiB more, in
    pieces that malloc keeps. Not measured on CUDA.
    """
    weights, device = weight_bytes(stage), stage.device
    watch = LiveBytes()
    noise_shape = stage.noise_shape(image_shape)
    with one_call(stage), torch.no_grad(), FakeTensorMode(allow_non_fake_inputs=True), watch:
        slices = len(stage.inputs) * (1 + 2 * stage.context_slices)
        image = torch.empty(batch_size, slices, *image_shape, device=device)
        mask = torch.empty(batch_size, 1, *image_shape, device=device)
        batch: keys.Batch = {stage.takes: image, "brain_mask": mask}  # type: ignore[misc]
        noise = None
        if noise_shape is not None:
            noise = torch.empty(batch_size, *noise_shape, device=device)
        stage(batch, noise)
    voxels = batch_size * image[0, 0].numel()
    kernels = int(KERNEL_SHARE * watch.peak) + KERNEL_BYTES
    return weights + watch.peak + kernels + 4 * VOLUME_COPIES * voxels


class OneCall:
    """A sampler that calls the network once: all of its calls take the same memory."""

    num_steps = 1
    adds_noise = False

    def sample(self, predict: Predict, noise: Tensor, *_: object) -> Tensor:
        """Return a tensor like data, (B, C, *S)."""
        time = noise.new_ones(len(noise))
        return noise + predict(noise, time) * noise.float()


@contextmanager
def one_call(stage: Stage) -> Iterator[None]:
    """Let a stage call its denoiser once, in two tiles; more would take no more memory."""
    if not isinstance(stage, LatentStage):
        yield
        return
    with ExitStack() as undo:
        for tiling in (stage.tiling, stage.codec.tiling):
            undo.callback(tiling.__dict__.update, dict(tiling.__dict__))
            tiling.most_windows, tiling.passes = 2, 0
        undo.callback(setattr, stage, "sampler", stage.sampler)
        stage.sampler = OneCall()  # type: ignore[assignment]
        yield
