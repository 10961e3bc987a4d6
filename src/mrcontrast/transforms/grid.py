"""Resample volumes, and place the grid of models."""

import math
from dataclasses import dataclass

import numpy as np
import scipy

from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.storage.volume import Volume
from mrcontrast.transforms.orientation import Turned

FWHM_PER_SIGMA = 2 * math.sqrt(2 * math.log(2))
ALIASING_RATIO = 1.2  # below it smoothing loses more detail than aliasing


@dataclass(frozen=True)
class GriddedVolume:
    """A volume on the grid of a model, with RAS axes, in the same world (RAS, mm) as before.

    Attributes:
        data: (X, Y, Z), float32, in the units of the original volume.
        mask: (X, Y, Z), bool, the brain.
        affine: (4, 4), float64.
        field: (X, Y, Z), bool, the scanned field of view.
    """

    data: np.ndarray
    mask: np.ndarray
    affine: np.ndarray
    field: np.ndarray


def coarsen(volume: Volume, spacing_mm: float) -> Volume:
    """Resample axes finer than ``spacing_mm`` to it, about the volume's centre; others stay."""
    old = np.array(volume.spacing_mm)
    fine = old < spacing_mm
    counts = np.maximum(1, np.ceil(np.array(volume.shape) * old / spacing_mm - 0.5))
    shape = np.where(fine, counts, volume.shape).astype(int)
    step = np.where(fine, spacing_mm / old, 1.0)
    affine = volume.affine.copy()
    affine[:3, :3] = volume.affine[:3, :3] * step
    middle = (np.array(volume.shape) - 1) / 2 - step * (shape - 1) / 2
    affine[:3, 3] = volume.affine[:3, :3] @ middle + volume.affine[:3, 3]
    return Volume(resample_to(volume, affine, tuple(int(n) for n in shape)), affine)


def resample_to(
    volume: Volume,
    affine: np.ndarray,
    shape: tuple[int, ...],
    order: int = 1,
    repeat_ends: bool = False,
) -> np.ndarray:
    """Interpolate a volume at the voxels of another grid; 0 outside its field of view, (*shape).

    Axes along which the new voxels are more than 1.2 times larger are smoothed first, by the
    Gaussian that widens one old voxel to one new voxel (full width at half maximum).

    Args:
        volume: Any orientation.
        affine: (4, 4), of the new grid, in the same world.
        shape: Shape of the new grid.
        order: Order of the spline: 0 nearest (never smoothed), 1 linear, 3 cubic.
        repeat_ends: Whether edge voxels extend to their outer faces; else they fade to 0 from
            their centres on.

    Source: Cardoso et al. 2015, "Scale factor point spread function matching", MICCAI.
    """
    to_old = np.linalg.inv(volume.affine) @ affine
    matrix, offset = to_old[:3, :3], to_old[:3, 3]
    data = np.asarray(volume.data, np.float32)
    ratio = np.linalg.norm(matrix, axis=1)  # size of a new voxel in old voxels
    if order > 0 and (ratio > ALIASING_RATIO).any():
        sigma = np.sqrt(np.maximum(ratio**2 - 1, 0)) / FWHM_PER_SIGMA
        sigma[ratio <= ALIASING_RATIO] = 0
        data = scipy.ndimage.gaussian_filter(data, sigma, mode="nearest")
    mode = "nearest" if repeat_ends else "grid-constant"
    step = _step(matrix)
    made = scipy.ndimage.affine_transform(
        data, step, offset, output_shape=shape, order=order, mode=mode
    )
    if repeat_ends:
        made[~field_of_view(volume, affine, shape)] = 0
    return np.asarray(made)


def field_of_view(volume: Volume, affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the voxels of another grid with centres inside a volume, (*shape), bool."""
    to_old = np.linalg.inv(volume.affine) @ affine
    ones = np.broadcast_to(np.uint8(1), volume.shape)
    step, offset = _step(to_old[:3, :3]), to_old[:3, 3]
    inside = scipy.ndimage.affine_transform(
        ones, step, offset, output_shape=shape, order=0, mode="grid-constant", prefilter=False
    )
    return np.asarray(inside > 0)


def _step(matrix: np.ndarray) -> np.ndarray:
    """Return a diagonal matrix (3, 3) as its diagonal (3,), which scipy applies faster."""
    diagonal = np.diagonal(matrix)
    return diagonal if np.allclose(matrix, np.diag(diagonal), atol=1e-12) else matrix


def resample_labels(
    labels: np.ndarray, source: np.ndarray, affine: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray:
    """Resample labels (X, Y, Z), uint8: each voxel gets the one that fills most of it, (*shape)."""
    best = np.full(shape, -np.inf, np.float32)
    result = np.zeros(shape, np.uint8)
    for value in np.unique(np.append(labels, 0)):
        share = resample_to(Volume((labels == value).astype(np.float32), source), affine, shape)
        result[share > best] = value
        best = np.maximum(best, share)
    return result


@dataclass(frozen=True)
class ModelGrid:
    """The grid of models: RAS axes, one spacing, centred on the brain.

    Attributes:
        spacing_mm: Spacing along each axis, > 0.
        shape: Voxels along x, y, z; an axis grows if the brain does not fit.
        multiple: A grown axis is rounded up to a multiple of this.
    """

    spacing_mm: float
    shape: tuple[int, int, int]
    multiple: int = 8

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))  # YAML gives a list
        if self.spacing_mm <= 0 or len(self.shape) != 3 or min(*self.shape, self.multiple) < 1:
            raise UsageError(
                f"Expected a positive spacing_mm, multiple and 3 positive axes, got "
                f"{self.spacing_mm}, {self.multiple} and {self.shape} (grid). Change the grid."
            )

    def place(self, volume: Volume, mask: np.ndarray) -> tuple[np.ndarray, tuple[int, int, int]]:
        """Return affine (4, 4) and shape of the grid centred on the brain ``mask`` (X, Y, Z)."""
        if not mask.any():
            raise MrcontrastError("Expected a brain mask with voxels, got an empty one.")
        turned = Turned.of(volume)
        axes = turned.affine[:3, :3]
        low, high = _extent(turned.apply(mask), axes)
        needed = np.ceil((high - low) / self.spacing_mm - 1e-6).astype(int) + 1
        grown = self.multiple * np.ceil(needed / self.multiple).astype(int)
        x, y, z = (int(n) for n in np.where(needed > self.shape, grown, self.shape))
        size = np.array([x, y, z])
        thin = high - low + np.abs(axes).sum(axis=1) <= self.spacing_mm  # no voxel may miss it
        affine = np.diag([self.spacing_mm] * 3 + [1.0])
        middle = np.where(thin, size // 2, (size - 1) / 2)
        affine[:3, 3] = (low + high) / 2 - self.spacing_mm * middle
        affine = _snapped(affine, turned.affine)
        affine[:3, 3] += turned.origin_mm
        return affine, (x, y, z)

    def to_grid(self, volume: Volume, mask: np.ndarray) -> GriddedVolume:
        """Resample a volume of any orientation and its brain mask (X, Y, Z), bool.

        Volumes on one grid with one mask stay on one grid. The mask sets no voxel to 0. A mask that
        fills no voxel of the grid raises MrcontrastError.
        """
        affine, shape = self.place(volume, mask)
        inside = resample_to(Volume(mask.astype(np.float32), volume.affine), affine, shape) > 0.5
        if not inside.any():
            raise MrcontrastError(
                f"Expected a brain that fills a voxel of the model, {self.spacing_mm:g} mm, got "
                f"{int(mask.sum())} voxels of {'x'.join(f'{n:.3g}' for n in volume.spacing_mm)} mm."
                " Check the mask, or translate a thicker volume."
            )
        data = resample_to(volume, affine, shape, repeat_ends=True)
        return GriddedVolume(data, inside, affine, field_of_view(volume, affine, shape))

    def from_grid(self, data: np.ndarray, gridded_affine: np.ndarray, like: Volume) -> Volume:
        """Resample the output of a model (X, Y, Z) to the grid of ``like``, oblique included.

        ``gridded_affine`` is that of ``to_grid``.
        """
        volume = Volume(np.asarray(data, np.float32), gridded_affine)
        return Volume(resample_to(volume, like.affine, like.shape), like.affine)


def _extent(mask: np.ndarray, axes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return least and largest coordinates (3,), in mm, of a mask (X, Y, Z) with axes (3, 3)."""
    x, y = np.nonzero(mask.any(axis=2))
    first, last = mask.argmax(axis=2), mask.shape[2] - 1 - mask[:, :, ::-1].argmax(axis=2)
    ends = [axes @ np.stack([x, y, z[x, y]]) for z in (first, last)]  # linear along a column
    return np.minimum(*(end.min(axis=1) for end in ends)), np.maximum(
        *(end.max(axis=1) for end in ends)
    )


def _snapped(affine: np.ndarray, source: np.ndarray) -> np.ndarray:
    """Shift a grid by at most half a voxel onto the voxels of a source of the same lattice.

    This avoids blurring volumes of the model's spacing. Both have RAS axes; a grid halfway between
    two voxels goes to the left, back and bottom.
    """
    to_source = np.linalg.inv(source) @ affine
    if not np.allclose(to_source[:3, :3], np.eye(3), atol=1e-4):
        return affine
    origin = np.floor(to_source[:3, 3] + 0.5 - 1e-6)
    snapped = affine.copy()
    snapped[:3, 3] = source[:3, :3] @ origin + source[:3, 3]
    return snapped
