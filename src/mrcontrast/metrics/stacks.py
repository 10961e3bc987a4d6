"""PSNR and SSIM of many 2D slices at once, several times faster than slice by slice.

Gaussian smoothing is a product with a band matrix, cut into blocks for BLAS in float32. Images are
centred first so that local variances, which are differences, keep their digits. Values agree with
scikit-image to 1e-6.
"""

from functools import lru_cache
from typing import Literal

import numpy as np
from scipy import ndimage

from mrcontrast.metrics.structural import (
    K1,
    K2,
    RADIUS,
    SIGMA_VOXELS,
    Border,
    Similarity,
    check_extent,
)
from mrcontrast.metrics.voxelwise import check_data_range, check_pair

BLOCK = 16
CHUNK_PIXELS = 65_536  # four fields of this size fit into the cache

Edges = Border | Literal["valid"]  # "valid" leaves out pixels whose window reaches over the edge
Bands = tuple[tuple[slice, slice, np.ndarray], ...]


def stack_maps(
    prediction: np.ndarray, target: np.ndarray, data_range: float, border: Border = "reflect"
) -> Similarity:
    """Compute ``structural.similarity_maps`` of each slice of two stacks (N, H, W), float32."""
    maps = Similarity(*(np.empty(target.shape, np.float32) for _ in range(2)))
    work = _workspace(prediction, target, data_range, border)
    for chosen in work.chunks:
        luminance, contrast = work.ratios(prediction[chosen], target[chosen])
        np.divide(contrast[0], contrast[1], out=maps.contrast[chosen])
        np.divide(luminance[0], luminance[1], out=maps.ssim[chosen])
        maps.ssim[chosen] *= maps.contrast[chosen]
    return maps


def stack_ssim(prediction: np.ndarray, target: np.ndarray, data_range: float) -> np.ndarray:
    """Return ``structural.ssim`` of each slice of two stacks (N, H, W), (N,) float64."""
    means = np.empty(len(target))
    work = _workspace(prediction, target, data_range, "valid")
    for chosen in work.chunks:
        luminance, contrast = work.ratios(prediction[chosen], target[chosen])
        luminance *= contrast
        luminance[0] /= luminance[1]
        means[chosen] = luminance[0].mean(axis=2).mean(axis=1, dtype=np.float64)
    return means


def stack_psnr(prediction: np.ndarray, target: np.ndarray, data_range: float) -> np.ndarray:
    """Return ``voxelwise.peak_signal_to_noise`` of each slice of two stacks (N, H, W), (N,)."""
    check_data_range(data_range)
    check_pair(prediction, target, None)
    squares = np.empty(len(target))
    for chosen in _chunks(target.shape):
        change = np.subtract(prediction[chosen], target[chosen])
        lines = np.einsum("nhw,nhw->nh", change, change)  # of one line, in the type of the images
        squares[chosen] = lines.mean(axis=1, dtype=np.float64) / change.shape[2]
    with np.errstate(divide="ignore"):
        return 20 * np.log10(data_range) - 10 * np.log10(squares)


class _Workspace:
    """Reused memory for the local moments of p = x + y and q = x - y of a few slices.

    Args:
        shape: Shape of the whole stack, (N, H, W).
        data_range: Width of the intensity range.
        edges: How slices continue outside their edges.
    """

    def __init__(self, shape: tuple[int, ...], data_range: float, edges: Edges) -> None:
        self.chunks = _chunks(shape)
        self.scale = np.float32(1 / data_range)
        self.memory = np.empty((2, 4 * self.chunks[0].stop * shape[1] * shape[2]), np.float32)
        self.rows, self.columns = (_bands(length, edges) for length in shape[1:])

    def ratios(self, prediction: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return numerator and denominator of luminance and of contrast, (2, n, H, W) each.

        They are overwritten by the next call; "valid" edges leave (2, n, H - 10, W - 10).
        """
        fields = self._room(0, target.shape)
        centre = self._fill(fields, prediction, target)
        fields, spare = self._smooth(fields)
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

    def _room(self, index: int, shape: tuple[int, ...]) -> np.ndarray:
        """Return memory for four fields of a shape (n, H, W)."""
        size = 4 * shape[0] * shape[1] * shape[2]
        return self.memory[index, :size].reshape(4, *shape)

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

    def _smooth(self, fields: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Smooth four fields (4, n, H, W) along both axes; return them and spare memory."""
        count, height, width = fields.shape[1:]
        new_height, new_width = self.rows[-1][0].stop, self.columns[-1][0].stop
        half = self._room(1, (count, height, new_width))
        lines, smooth_lines = fields.reshape(-1, width), half.reshape(-1, new_width)
        for put, take, kernel in self.columns:
            np.matmul(lines[:, take], kernel.T, out=smooth_lines[:, put])
        smooth = self._room(0, (count, new_height, new_width))
        for put, take, kernel in self.rows:
            np.matmul(kernel, half[..., take, :], out=smooth[..., put, :])
        return smooth, self._room(1, smooth.shape[1:])


def _workspace(
    prediction: np.ndarray, target: np.ndarray, data_range: float, edges: Edges
) -> _Workspace:
    """Return the memory for two stacks (N, H, W) once they are checked."""
    check_data_range(data_range)
    check_pair(prediction, target, None)
    check_extent(target.shape[1:])
    return _Workspace(target.shape, data_range, edges)


@lru_cache(maxsize=32)
def _bands(length: int, edges: Edges) -> Bands:
    """Return the blocks of the smoothing matrix: output rows, input rows, weights."""
    matrix = ndimage.gaussian_filter1d(
        np.eye(length),
        SIGMA_VOXELS,
        axis=0,
        mode="reflect" if edges == "valid" else edges,
        radius=RADIUS,
    ).astype(np.float32)
    if edges == "valid":
        matrix = matrix[RADIUS:-RADIUS]
    blocks = []
    for start in range(0, len(matrix), BLOCK):
        rows = matrix[start : start + BLOCK]
        used = np.flatnonzero(rows.any(axis=0))
        take = slice(int(used[0]), int(used[-1]) + 1)
        blocks.append((slice(start, start + len(rows)), take, rows[:, take].copy()))
    return tuple(blocks)


def _chunks(shape: tuple[int, ...]) -> list[slice]:
    """Cut a stack (N, H, W) into pieces that fit into the cache."""
    step = max(1, CHUNK_PIXELS // (shape[1] * shape[2]))
    return [slice(start, start + step) for start in range(0, shape[0], step)]
