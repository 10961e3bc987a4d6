"""SSIM maps of many 2D slices at once, several times faster than slice by slice.

Gaussian smoothing is a product with a band matrix, cut into blocks for BLAS in float32.
"""

from functools import lru_cache

import numpy as np
from scipy import ndimage

from mrcontrast.metrics.structural import (
    K1,
    K2,
    RADIUS,
    SIGMA_VOXELS,
    Border,
    Similarity,
    check_images,
)

BLOCK = 16
CHUNK_PIXELS = 65_536  # four fields of this size fit into the cache


def stack_maps(
    prediction: np.ndarray, target: np.ndarray, data_range: float, border: Border = "reflect"
) -> Similarity:
    """Compute ``structural.similarity_maps`` of each slice of two stacks (N, H, W), float32.

    Values agree to 1e-6: images are centred first, so that local variances, which are differences,
    keep their digits.
    """
    check_images(prediction[0], target[0], data_range)
    maps = Similarity(*(np.empty(target.shape, np.float32) for _ in range(2)))
    work = _Workspace(target.shape, data_range, border)
    for start in range(0, len(target), work.slices):
        chosen = slice(start, start + work.slices)
        luminance, contrast = work.ratios(prediction[chosen], target[chosen])
        np.divide(contrast[0], contrast[1], out=maps.contrast[chosen])
        np.divide(luminance[0], luminance[1], out=maps.ssim[chosen])
        maps.ssim[chosen] *= maps.contrast[chosen]
    return maps


class _Workspace:
    """Reused memory for the local moments of p = x + y and q = x - y of a few slices."""

    def __init__(self, shape: tuple[int, ...], data_range: float, border: Border) -> None:
        self.slices = max(1, CHUNK_PIXELS // (shape[1] * shape[2]))
        self.scale = np.float32(1 / data_range)
        self.memory = np.empty((2, 4 * self.slices * shape[1] * shape[2]), np.float32)
        self.rows, self.columns = (_bands(length, border) for length in shape[1:])

    def ratios(self, prediction: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return numerator and denominator of luminance and of contrast, (2, n, H, W) each.

        They are overwritten by the next call.
        """
        size = 4 * target.size
        fields, spare = (room[:size].reshape(4, *target.shape) for room in self.memory)
        centre = self._fill(fields, prediction, target)
        self._smooth(fields, spare)
        means, variances, squares = fields[:2], fields[2:], spare[:2]
        np.multiply(means, means, out=squares)
        variances -= squares  # rounding may leave -1e-8, small against the constant
        means[0] += centre
        np.multiply(means[0], means[0], out=squares[0])
        luminance, contrast = spare[2:], fields[:2]
        for found, moments, constant in ((luminance, squares, K1), (contrast, variances, K2)):
            moments[0] += np.float32(2 * constant**2)
            np.subtract(moments[0], moments[1], out=found[0])
            np.add(moments[0], moments[1], out=found[1])
        return luminance, contrast

    def _fill(self, fields: np.ndarray, prediction: np.ndarray, target: np.ndarray) -> np.float32:
        """Set the fields to p, q and their squares, in units of the range; p is centred."""
        centre = np.float32(2 * float(target[0, ::4, ::4].mean()) * self.scale)
        np.add(prediction, target, out=fields[0], casting="same_kind")
        np.subtract(prediction, target, out=fields[1], casting="same_kind")
        if self.scale != 1:
            fields[:2] *= self.scale
        fields[0] -= centre
        np.multiply(fields[:2], fields[:2], out=fields[2:])
        return centre

    def _smooth(self, fields: np.ndarray, spare: np.ndarray) -> None:
        """Smooth four fields (4, n, H, W) along both axes, in place."""
        lines, smooth_lines = (each.reshape(-1, each.shape[-1]) for each in (fields, spare))
        for put, take, kernel in self.columns:
            np.matmul(lines[:, take], kernel.T, out=smooth_lines[:, put])
        for put, take, kernel in self.rows:
            np.matmul(kernel, spare[..., take, :], out=fields[..., put, :])


@lru_cache(maxsize=32)
def _bands(length: int, border: Border) -> tuple[tuple[slice, slice, np.ndarray], ...]:
    """Return the blocks of the smoothing matrix: output rows, input rows, weights."""
    matrix = ndimage.gaussian_filter1d(
        np.eye(length), SIGMA_VOXELS, axis=0, mode=border, radius=RADIUS
    ).astype(np.float32)
    blocks = []
    for start in range(0, length, BLOCK):
        rows = matrix[start : start + BLOCK]
        used = np.flatnonzero(rows.any(axis=0))
        take = slice(int(used[0]), int(used[-1]) + 1)
        blocks.append((slice(start, start + len(rows)), take, rows[:, take].copy()))
    return tuple(blocks)
