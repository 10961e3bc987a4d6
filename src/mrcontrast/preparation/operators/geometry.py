"""Where voxels lie: axes, spacing, field of view. Masks and labels go with the FLAIR."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.preparation.operators.contrasts import need_one_grid
from mrcontrast.preparation.operators.masks import brain_of
from mrcontrast.preparation.subject import Subject
from mrcontrast.storage.volume import Volume
from mrcontrast.transforms.grid import resample, resample_labels
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
        order: Of the spline for intensities: 0 nearest, 1 linear, 3 cubic.
    """

    spacing_mm: float
    order: int = 1

    def __call__(self, subject: Subject) -> Subject:
        """Return the session with voxels of that size; labels stay whole numbers."""

        def finer(volume: Volume) -> Volume:
            return resample(volume, self.spacing_mm, self.order)

        def mask(data: np.ndarray | None) -> np.ndarray | None:
            if data is None:
                return None
            share = Volume(data.astype(np.float32), subject.flair.affine)
            return resample(share, self.spacing_mm).data > 0.5

        flair, labels = finer(subject.flair), subject.labels
        if labels is not None:
            labels = resample_labels(labels, subject.flair.affine, flair.affine, flair.shape)
        return replace(
            subject,
            flair=flair,
            t1w=finer(subject.t1w),
            brain_mask=mask(subject.brain_mask),
            lesion_mask=mask(subject.lesion_mask),
            labels=labels,
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
        """Return the block.

        Raises:
            MrcontrastError: It does not lie within the field of view, or grids differ.
        """
        need_one_grid(subject)
        turned = _moved(subject, to_ras)
        ends = [start + size for start, size in zip(self.first, self.shape, strict=True)]
        if any(end > size for end, size in zip(ends, turned.flair.shape, strict=True)):
            raise MrcontrastError(
                f"Expected at least {tuple(ends)} voxels, got {turned.flair.shape}. "
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
        """Return the session with that shape.

        Raises:
            MrcontrastError: The contrasts lie on grids of their own, or there is no mask.
        """
        need_one_grid(subject)
        ends = np.stack([np.zeros(3), np.array(subject.flair.shape) - 1])
        if self.centre == "brain":
            found = np.nonzero(brain_of(subject))
            ends = np.array([[axis.min() for axis in found], [axis.max() for axis in found]])
        first = np.floor((ends.sum(axis=0) - (np.array(self.shape) - 1)) / 2 + 0.5).astype(int)
        return _moved(subject, lambda volume: _window(volume, tuple(first), self.shape))


def _moved(subject: Subject, turn: Turn) -> Subject:
    """Turn both volumes, and masks and labels along with the FLAIR; no value may change."""

    def along(data: np.ndarray | None) -> np.ndarray | None:
        return None if data is None else turn(Volume(data, subject.flair.affine)).data

    return replace(
        subject,
        flair=turn(subject.flair),
        t1w=turn(subject.t1w),
        brain_mask=along(subject.brain_mask),
        lesion_mask=along(subject.lesion_mask),
        labels=along(subject.labels),
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
