"""Texture: histogram, gradients, and smoothness from slice to slice."""

import numpy as np
from scipy import ndimage

Spacing = tuple[float, ...]


def gradient_magnitude(image: np.ndarray, mask: np.ndarray, spacing_mm: Spacing) -> np.ndarray:
    """Return |gradient| of an image (*S) by central differences, (N,), in its units per mm.

    Only voxels with all their neighbours in the mask (*S) count. An axis of one voxel has no
    gradient.
    """
    inner = ndimage.binary_erosion(mask, border_value=1)
    squares = np.zeros(int(inner.sum()))
    for axis, step in enumerate(spacing_mm):
        if image.shape[axis] > 1:
            squares += np.gradient(image, step, axis=axis)[inner].astype(np.float64) ** 2
    return np.sqrt(squares)


def sorted_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Return the Wasserstein-1 distance of two samples of equal size (N,); NaN if empty.

    It is the mean difference of the sorted values.
    """
    if not len(first):
        return float("nan")
    change = np.subtract(np.sort(first), np.sort(second), dtype=np.float64)
    return float(np.abs(change).mean())


def through_plane_share(
    image: np.ndarray, mask: np.ndarray, spacing_mm: Spacing, axis: int
) -> float:
    """Return mean |gradient| along ``axis`` over that of the others; NaN for a flat image (*S).

    Gradients are differences of neighbours that both are in the mask (*S).
    """
    steps = [_mean_step(image, mask, spacing_mm[k], k) for k in range(image.ndim)]
    across = steps.pop(axis)
    within = sum(steps) / len(steps)
    return across / within if within > 0 else float("nan")


def _mean_step(image: np.ndarray, mask: np.ndarray, step_mm: float, axis: int) -> float:
    """Return the mean |difference| of neighbours along one axis, per mm."""
    image, mask = (np.moveaxis(array, axis, 0) for array in (image, mask))
    both = mask[:-1] & mask[1:]
    if not both.any():
        return float("nan")
    change = np.subtract(image[1:], image[:-1], dtype=np.float64)
    return float(np.abs(change[both]).mean()) / step_mm
