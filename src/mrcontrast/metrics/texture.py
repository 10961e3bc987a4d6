"""Texture: histogram, gradients, and smoothness from slice to slice."""

import numpy as np
from scipy import ndimage

from mrcontrast.metrics.voxelwise import check_pair

Spacing = tuple[float, ...]


def histogram_distance(prediction: np.ndarray, target: np.ndarray, mask: np.ndarray) -> float:
    """Return the Wasserstein-1 distance of two intensity histograms, in the images' units.

    Args:
        prediction: Image, (*S).
        target: Image on the same grid, (*S).
        mask: Voxels that count, (*S) bool.

    Raises:
        MrcontrastError: The shapes differ or the mask is empty.

    Equals ``scipy.stats.wasserstein_distance``; for equal numbers of voxels it is the mean
    difference of the sorted values.

    Example:
        >>> row, every = np.array([0.0, 1.0]), np.array([True, True])
        >>> histogram_distance(row[::-1], row, every), histogram_distance(row + 2, row, every)
        (0.0, 2.0)
    """
    check_pair(prediction, target, mask)
    return sorted_distance(prediction[mask], target[mask])


def gradient_magnitude(image: np.ndarray, mask: np.ndarray, spacing_mm: Spacing) -> np.ndarray:
    """Return |gradient| by central differences, (N,), in the image's units per mm.

    Args:
        image: (*S).
        mask: (*S) bool; only voxels with all their neighbours in it count, which leaves out the
            edge of the mask. An axis of one voxel has no gradient.
        spacing_mm: Distance of neighbouring voxels along each axis.
    """
    inner = ndimage.binary_erosion(mask, border_value=1)
    squares = np.zeros(int(inner.sum()))
    for axis, step in enumerate(spacing_mm):
        if image.shape[axis] > 1:
            squares += np.gradient(image, step, axis=axis)[inner].astype(np.float64) ** 2
    return np.sqrt(squares)


def sorted_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Return the Wasserstein-1 distance of two samples of equal size (N,); NaN if empty."""
    if not len(first):
        return float("nan")
    change = np.subtract(np.sort(first), np.sort(second), dtype=np.float64)
    return float(np.abs(change).mean())


def through_plane_share(
    image: np.ndarray, mask: np.ndarray, spacing_mm: Spacing, axis: int
) -> float:
    """Return mean |gradient| across slices over mean |gradient| within; NaN for a flat image.

    Args:
        image: (*S), three axes.
        mask: (*S) bool; both neighbours of a pair have to be in it.
        spacing_mm: Distance of neighbouring voxels along each axis.
        axis: Axis from slice to slice.
    """
    steps = [_mean_step(image, mask, spacing_mm[k], k) for k in range(image.ndim)]
    across = steps.pop(axis)
    within = sum(steps) / len(steps)
    return across / within if within > 0 else float("nan")


def _mean_step(image: np.ndarray, mask: np.ndarray, step_mm: float, axis: int) -> float:
    """Return the mean |difference| of neighbours along one axis, per mm."""
    both = np.logical_and(*_neighbours(mask, axis))
    lower, upper = _neighbours(image, axis)
    if not both.any():
        return float("nan")
    return float(np.abs(np.subtract(upper, lower, dtype=np.float64)[both]).mean()) / step_mm


def _neighbours(image: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Return two views of an image: all but the last, and all but the first plane of an axis."""
    moved = np.moveaxis(image, axis, 0)
    return moved[:-1], moved[1:]
