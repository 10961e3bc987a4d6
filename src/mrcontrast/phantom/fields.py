"""Field of view of a phantom, cut into voxels of any allowed size, and smooth random fields in it.

Fields are drawn in millimetres, so that they do not depend on the voxel size.
"""

import math

import numpy as np
import scipy
import torch
import torch.nn.functional as F
from torch import Tensor

from mrcontrast.errors import UsageError

FOV_MM = (180.0, 216.0, 192.0)
"""Field of view in x, y, z (mm); every subject of the ranges in `config` fits into it."""

CENTRE_MM = (0.0, -17.0, 5.0)
"""Middle of the field of view in MNI152 coordinates (mm): the middle of the brain."""

COARSE_MM = 4.0
"""Voxel size (mm) on which smooth fields are drawn, independent of the voxel size of the images."""


def frame_shape(spacing_mm: float) -> tuple[int, int, int]:
    """Return how many voxels of ``spacing_mm`` fill the field of view, axis by axis.

    Raises:
        UsageError: The field of view is no whole number of such voxels.

    >>> frame_shape(2.0)
    (90, 108, 96)
    """
    counts = [length / spacing_mm if spacing_mm > 0 else 0.0 for length in FOV_MM]
    x, y, z = (round(count) for count in counts)
    if min(x, y, z) < 1 or not all(math.isclose(n, round(n), rel_tol=1e-6) for n in counts):
        raise UsageError(
            f"Expected spacing_mm to be 12 mm over a whole number, got {spacing_mm:g} "
            "(PhantomConfig). Choose 1, 1.2, 1.5, 2, 3 or 4."
        )
    return x, y, z


def frame_affine(spacing_mm: float) -> np.ndarray:
    """Return the affine (4, 4), float64, from voxel indices to RAS world coordinates in mm."""
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    shape = np.array(frame_shape(spacing_mm))
    affine[:3, 3] = np.array(CENTRE_MM) - (shape - 1) / 2 * spacing_mm
    return affine


def voxel_centres(spacing_mm: float) -> np.ndarray:
    """Return the world coordinates of all voxel centres, (3, X, Y, Z), float32, in mm."""
    origin = frame_affine(spacing_mm)[:3, 3]
    axes = [
        (start + spacing_mm * np.arange(n)).astype(np.float32)
        for start, n in zip(origin, frame_shape(spacing_mm), strict=True)
    ]
    return np.stack(np.meshgrid(*axes, indexing="ij"))


def draw_smooth_field(rng: np.random.Generator, smoothing_mm: float, channels: int = 1) -> Tensor:
    """Draw Gaussian fields over the field of view, standard deviation 1, mean about 0.

    Returns:
        Float32, (channels, X, Y, Z), smoothed by a Gaussian of ``smoothing_mm``, on voxels of two
        thirds of it: see `upsample`.
    """
    shape = [max(4, round(1.5 * length / smoothing_mm)) for length in FOV_MM]
    noise = rng.standard_normal((channels, *shape), dtype=np.float32)
    sigma = [smoothing_mm * n / length for n, length in zip(shape, FOV_MM, strict=True)]
    smooth = scipy.ndimage.gaussian_filter(noise, (0, *sigma), mode="wrap")
    return torch.from_numpy(smooth / smooth.std(axis=(1, 2, 3), keepdims=True))


def upsample(field: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Interpolate a field (C, *S) that spans the field of view to ``shape``, trilinearly."""
    return F.interpolate(field[None], size=shape, mode="trilinear", align_corners=False)[0]
