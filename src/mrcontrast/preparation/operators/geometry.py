"""Axes, spacing and field of view of a session; masks and labels follow the reference."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from mrcontrast.data.scanned import SCANNED_SLICES, measure_scanned
from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.preparation.subject import RefusedError, Subject
from mrcontrast.storage.volume import Volume
from mrcontrast.transforms.grid import (
    ModelGrid,
    field_of_view,
    resample,
    resample_labels,
    resample_to,
)
from mrcontrast.transforms.orientation import to_ras

Turn = Callable[[Volume], Volume]


@dataclass(frozen=True)
class Reorient:
    """Flip and permute axes to RAS; no voxel is interpolated."""

    def __call__(self, subject: Subject) -> Subject:
        """Return the session with RAS axes."""
        return _moved(subject, to_ras)


@dataclass(frozen=True)
class Resample:
    """Change the spacing along each volume's own axes; the field of view stays.

    Attributes:
        spacing_mm: New distance of voxels along every axis, > 0.
        order: Order of the spline for intensities: 0 nearest, 1 linear, 3 cubic.
    """

    spacing_mm: float
    order: int = 1

    def __call__(self, subject: Subject) -> Subject:
        """Return the session with voxels of that size; labels stay whole numbers."""
        return _interpolated(
            subject,
            lambda volume: resample(volume, self.spacing_mm, self.order),
            lambda share: resample(share, self.spacing_mm),
        )


@dataclass(frozen=True)
class CutBlock:
    """Cut a block of voxels out of the field of view, by index along RAS axes.

    Attributes:
        first: Index of the first voxel along x, y, z.
        shape: Voxels along x, y, z.
    """

    first: tuple[int, int, int]
    shape: tuple[int, int, int]

    def __call__(self, subject: Subject) -> Subject:
        """Return the block; raise MrcontrastError if it is not in the field of view."""
        subject.check_one_grid()
        turned = _moved(subject, to_ras)
        ends = [start + size for start, size in zip(self.first, self.shape, strict=True)]
        if any(end > size for end, size in zip(ends, turned.like.shape, strict=True)):
            raise MrcontrastError(
                f"Expected at least {tuple(ends)} voxels, got {turned.like.shape}. "
                "Change CutBlock or leave the scan out."
            )
        return _moved(turned, lambda volume: _window(volume, self.first, self.shape))


@dataclass(frozen=True)
class CropOrPad:
    """Crop or pad the field of view to a shape; padding is 0.

    Attributes:
        shape: Voxels along x, y, z of the current axes.
        centre: "volume", or "brain": the middle of the mask's bounding box.
    """

    shape: tuple[int, int, int]
    centre: str = "volume"

    def __post_init__(self) -> None:
        if self.centre not in ("volume", "brain"):
            raise UsageError(
                f'Expected volume or brain, got "{self.centre}" (CropOrPad.centre). Change it.'
            )

    def __call__(self, subject: Subject) -> Subject:
        """Return the session with that shape; raise MrcontrastError if the grids differ."""
        subject.check_one_grid()
        ends = np.stack([np.zeros(3), np.array(subject.like.shape) - 1])
        if self.centre == "brain":
            found = np.nonzero(subject.brain)
            ends = np.array([[axis.min() for axis in found], [axis.max() for axis in found]])
        first = np.floor((ends.sum(axis=0) - (np.array(self.shape) - 1)) / 2 + 0.5).astype(int)
        return _moved(subject, lambda volume: _window(volume, tuple(first), self.shape))


@dataclass(frozen=True)
class ToGrid:
    """Bring everything to the grid of the models; labels and masks stay whole numbers.

    Each contrast is interpolated once, from its own grid, by linear splines; axes whose voxels grow
    are smoothed before.

    Attributes:
        grid: The same for all subjects.
        centre_mm: World point (x, y, z) in the middle of the grid; None: the middle of the brain.
        largest_cut: Share of the brain, in [0, 1], that may lie outside the grid at ``centre_mm``.
    """

    grid: ModelGrid
    centre_mm: tuple[float, float, float] | None = None
    largest_cut: float = 0.0

    def __call__(self, subject: Subject) -> Subject:
        """Return the session on the grid; raise MrcontrastError if the brain does not fit."""
        affine, shape = self.place(subject)
        done = _interpolated(
            subject,
            lambda volume: Volume(resample_to(volume, affine, shape, repeat_ends=True), affine),
            lambda share: Volume(resample_to(share, affine, shape), affine),
        )
        scanned = measure_scanned(field_of_view(subject.like, affine, shape), done.brain)
        measures = {SCANNED_SLICES: scanned} if scanned else {}
        return replace(done, measures=subject.measures | measures)

    def place(self, subject: Subject) -> tuple[np.ndarray, tuple[int, int, int]]:
        """Return affine (4, 4) and shape of the grid for one session."""
        spacing, shape = self.grid.spacing_mm, self.grid.shape
        affine, needed = self.grid.place(subject.like, subject.brain)
        if self.centre_mm is None:
            if needed != shape:
                raise MrcontrastError(
                    f"Expected a brain that fits {shape} voxels of {spacing} "
                    f"mm, got one that needs {needed}. Enlarge recipe.grid.shape or check the mask."
                )
            return affine, shape
        affine = np.diag([spacing] * 3 + [1.0])
        affine[:3, 3] = np.array(self.centre_mm) - spacing * (np.array(shape) - 1) / 2
        places = np.array(np.nonzero(subject.brain), np.float64)
        places = np.vstack([places, np.ones(places.shape[1])])
        voxels = (np.linalg.inv(affine) @ subject.like.affine @ places)[:3].T
        outside = ((voxels < -0.5) | (voxels > np.array(shape) - 0.5)).any(axis=1)
        cut = round(float(outside.mean()), 4)
        if cut > self.largest_cut:
            raise RefusedError(
                f"Expected a brain within {shape} voxels of {spacing} mm around "
                f"{tuple(self.centre_mm)}, got one of which {cut:.1%} is outside. "
                "Enlarge recipe.grid.shape or largest_cut, or check the mask.",
                "grid_cut",
                cut,
                f"<= {self.largest_cut:g}",
            )
        return affine, shape


def _moved(subject: Subject, turn: Turn) -> Subject:
    """Apply a change of axes or field of view to images, masks and labels."""

    def along(data: np.ndarray | None) -> np.ndarray | None:
        return None if data is None else turn(Volume(data, subject.like.affine)).data

    return replace(
        subject,
        images={name: turn(volume) for name, volume in subject.images.items()},
        brain_mask=along(subject.brain_mask),
        lesion_mask=along(subject.lesion_mask),
        labels=along(subject.labels),
    )


def _interpolated(subject: Subject, image: Turn, share: Turn) -> Subject:
    """Interpolate images by one function and the shares of masks by another, cut at one half."""
    old = subject.like.affine

    def mask(data: np.ndarray | None) -> np.ndarray | None:
        return None if data is None else share(Volume(data.astype(np.float32), old)).data > 0.5

    images = {name: image(volume) for name, volume in subject.images.items()}
    new, labels = images[subject.reference], subject.labels
    return replace(
        subject,
        images=images,
        brain_mask=mask(subject.brain_mask),
        lesion_mask=mask(subject.lesion_mask),
        labels=None if labels is None else resample_labels(labels, old, new.affine, new.shape),
    )


def _window(volume: Volume, first: tuple[int, ...], shape: tuple[int, ...]) -> Volume:
    """Return the voxels from ``first`` on, 0 where there are none."""
    data = np.zeros(shape, volume.data.dtype)
    source, target = [], []
    for start, size, old in zip(first, shape, volume.shape, strict=True):
        low, high = max(start, 0), min(start + size, old)
        source.append(slice(low, max(low, high)))
        target.append(slice(low - start, max(low, high) - start))
    data[tuple(target)] = volume.data[tuple(source)]
    affine = volume.affine.copy()
    affine[:3, 3] = volume.affine[:3, :3] @ np.array(first) + volume.affine[:3, 3]
    return Volume(data, affine)
