"""A smooth field that is left when tissue is taken out of an image: scanner shading."""

import numpy as np
from scipy import ndimage

SMOOTHNESS_MM = 25.0  # standard deviation of the smoothing
COARSE_MM = 8.0  # what is that smooth is found on blocks of this size


def smooth_residual(
    residual: np.ndarray, weight: np.ndarray, spacing_mm: tuple[float, ...]
) -> np.ndarray:
    """Return the local weighted mean of a residual, smooth over 25 mm, (*S).

    Args:
        residual: (*S), whatever the weight is 0 at.
        weight: (*S), >= 0, somewhere above 0.
        spacing_mm: Distance of neighbouring voxels along each axis.

    Source: Wells et al. 1996, IEEE TMI 15(4), eq. 16; ours adds where theirs multiplies, so that
    the unit and the zero of the intensities do not matter.
    """
    blocks = [max(1, round(COARSE_MM / step)) for step in spacing_mm]
    sigma = [SMOOTHNESS_MM / (n * step) for n, step in zip(blocks, spacing_mm, strict=True)]
    total, share = (
        ndimage.gaussian_filter(_block_sums(image, blocks), sigma, mode="constant")
        for image in (residual * weight, weight)
    )
    coarse = total / np.maximum(share, 1e-6 * float(share.max()))
    # Block centres stand at (n - 1) / 2 + k n: order 1 between them, constant beyond.
    grid = [
        np.clip((np.arange(length) - (n - 1) / 2) / n, 0, size - 1)
        for length, n, size in zip(residual.shape, blocks, coarse.shape, strict=True)
    ]
    for axis, places in enumerate(grid):
        coarse = _interpolated(coarse, axis, places)
    return coarse


def _block_sums(image: np.ndarray, blocks: list[int]) -> np.ndarray:
    """Sum an image over blocks; the last of an axis may be smaller."""
    for axis, block in enumerate(blocks):
        image = np.add.reduceat(image, np.arange(0, image.shape[axis], block), axis=axis)
    return image


def _interpolated(image: np.ndarray, axis: int, places: np.ndarray) -> np.ndarray:
    """Interpolate linearly along one axis at fractional places within it."""
    lower = np.floor(places).astype(int)
    upper = np.minimum(lower + 1, image.shape[axis] - 1)
    share = (places - lower).reshape([-1 if k == axis else 1 for k in range(image.ndim)])
    return (1 - share) * image.take(lower, axis) + share * image.take(upper, axis)
