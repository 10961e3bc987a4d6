"""Smooth random fields, drawn in millimetres so that they do not depend on the voxel size."""

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter
from torch import Tensor

from mrcontrast.phantom.frame import FOV_MM


def draw_smooth_field(rng: np.random.Generator, smoothing_mm: float, channels: int = 1) -> Tensor:
    """Draw Gaussian fields over the field of view, standard deviation 1, mean about 0.

    Args:
        rng: Source of the noise.
        smoothing_mm: Standard deviation of the Gaussian kernel that smooths the noise (mm).
        channels: How many independent fields.

    Returns:
        Float32, (channels, X, Y, Z), on voxels of two thirds of ``smoothing_mm``: see `upsample`.
    """
    shape = [max(4, round(1.5 * length / smoothing_mm)) for length in FOV_MM]
    noise = rng.standard_normal((channels, *shape), dtype=np.float32)
    sigma = [smoothing_mm * n / length for n, length in zip(shape, FOV_MM, strict=True)]
    smooth = gaussian_filter(noise, (0, *sigma), mode="wrap")
    return torch.from_numpy(smooth / smooth.std(axis=(1, 2, 3), keepdims=True))


def upsample(field: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Interpolate a field (C, *S) that spans the field of view to ``shape``, trilinearly."""
    return F.interpolate(field[None], size=shape, mode="trilinear", align_corners=False)[0]
