"""Segment CSF, grey and white matter of a skull-stripped T1w: three Gaussians on a random field."""

from dataclasses import dataclass

import numpy as np
import scipy

SMOOTHNESS_MM = 25.0  # standard deviation of the smoothing
COARSE_MM = 8.0  # block size for smooth fields
CSF, GM, WM = 1, 2, 3  # darkest to brightest on T1w; the labels of a prepared data set
TISSUES = {"csf": CSF, "gm": GM, "wm": WM}
START_QUANTILES = (0.1, 0.45, 0.85)
MAX_STEPS, TOLERANCE = 100, 1e-6
SMOOTHNESS = 0.3
ITERATIONS = 10
BIAS_ROUNDS = 3
METHOD = (
    "three classes of one width by k-means of the intensities in the mask, started at quantiles "
    f"{START_QUANTILES}, {BIAS_ROUNDS} times in turn with an additive shading smooth over "
    f"{SMOOTHNESS_MM:g} mm, then {ITERATIONS} mean-field steps on a Markov random field (weight "
    f"{SMOOTHNESS} for each of 6 neighbours); in order of their means CSF, GM, WM. The same for "
    "real and synthetic images; lesions go where their intensity puts them"
)


@dataclass(frozen=True)
class Classes:
    """Three Gaussians, darkest first; with free widths CSF would grow into grey matter."""

    mean: np.ndarray  # (3, 1)
    variance: float  # of all, about the mean of their class
    share: np.ndarray  # of the voxels, (3, 1)

    def energies(self, voxels: np.ndarray) -> np.ndarray:
        """Return -log(share * density) by class and voxel, less a constant, (3, N)."""
        return (voxels - self.mean) ** 2 / (2 * self.variance) - np.log(self.share)


def segment_tissues(
    image: np.ndarray, mask: np.ndarray, spacing_mm: tuple[float, ...]
) -> np.ndarray:
    """Segment the tissues of a skull-stripped T1w, to compare two images, not for anatomy.

    Without atlas or training it adds nothing to an image; ``experiments/metrics`` has its Dice.

    Args:
        image: T1w, (*S), any units.
        mask: The brain, (*S) bool, not empty.
        spacing_mm: Spacing along each axis.

    Returns:
        (*S), uint8: 0 outside, 1 CSF, 2 GM, 3 WM; a flat image is all GM.

    Source: Zhang, Brady and Smith 2001, IEEE TMI 20(1), eqs. 9 to 13; ours fits the classes first,
    with one width, and replaces iterated conditional modes by mean-field steps.
    """
    box = scipy.ndimage.find_objects(mask.astype(np.uint8))[0]
    inside = mask[box]
    voxels = np.asarray(image[box][inside], np.float64)
    labels = np.zeros(image.shape, np.uint8)
    spread = float(voxels.std())
    if spread <= 1e-6 * float(np.abs(voxels).max()):
        labels[box][inside] = GM
        return labels
    standard = np.zeros(inside.shape)
    standard[inside] = (voxels - voxels.mean()) / spread
    classes, flat = _without_shading(standard, inside, spacing_mm)
    energy = np.zeros((len(TISSUES), *inside.shape), np.float32)
    energy[:, inside] = classes.energies(flat)
    labels[box] = (_mean_field(energy, inside).argmax(axis=0) + 1) * inside
    return labels


def _without_shading(
    image: np.ndarray, inside: np.ndarray, spacing_mm: tuple[float, ...]
) -> tuple[Classes, np.ndarray]:
    """Return the classes and the voxels inside, (N,), less the shading of an image (*S)."""
    voxels = image[inside]
    classes = fit_classes(voxels)
    for _ in range(BIAS_ROUNDS):
        probability = scipy.special.softmax(-classes.energies(voxels), axis=0)
        residual = np.zeros(image.shape)
        residual[inside] = image[inside] - (probability * classes.mean).sum(axis=0)
        shading = smooth_residual(residual, inside.astype(np.float64), spacing_mm)
        voxels = image[inside] - shading[inside]
        classes = fit_classes(voxels, classes.mean[:, 0])
    return classes, voxels


def fit_classes(voxels: np.ndarray, start: np.ndarray | None = None) -> Classes:
    """Fit three classes to voxels (N,) by k-means from means (3,), else from quantiles.

    Source: Lloyd 1982, IEEE TIT 28(2); sorted sums make it exact in one dimension.

    >>> fit_classes(np.array([0.0, 0.2, 1.0, 1.2, 3.0, 3.2])).mean.ravel().round(3).tolist()
    [0.1, 1.1, 3.1]
    """
    ordered = np.sort(voxels)
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    mean = np.quantile(ordered, START_QUANTILES) if start is None else start
    for _ in range(MAX_STEPS):
        borders = np.searchsorted(ordered, (mean[1:] + mean[:-1]) / 2)
        ends = np.concatenate([[0], borders, [len(ordered)]])
        count = np.diff(ends)
        new = np.where(count > 0, np.diff(sums[ends]) / np.maximum(count, 1), mean)
        if np.abs(new - mean).max() < TOLERANCE:
            break
        mean = new
    share = np.maximum(count, 1) / np.maximum(count, 1).sum()
    variance = max(float(np.mean((ordered - np.repeat(mean, count)) ** 2)), TOLERANCE)
    return Classes(mean[:, None], variance, share[:, None])


def _mean_field(energy: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Return class probabilities (3, *S) after mean-field steps over neighbours in the mask."""
    probability = scipy.special.softmax(-energy, axis=0) * inside
    for _ in range(ITERATIONS):
        votes = np.zeros_like(probability)
        for axis in range(1, probability.ndim):
            mine, ours = np.moveaxis(votes, axis, 0), np.moveaxis(probability, axis, 0)
            mine[:-1] += ours[1:]
            mine[1:] += ours[:-1]
        probability = scipy.special.softmax(SMOOTHNESS * votes - energy, axis=0) * inside
    return probability


def smooth_residual(
    residual: np.ndarray, weight: np.ndarray, spacing_mm: tuple[float, ...]
) -> np.ndarray:
    """Return the weighted mean of a residual (*S), smooth over 25 mm, (*S); weights (*S) are >= 0.

    Source: Wells et al. 1996, IEEE TMI 15(4), eq. 16; ours adds where theirs multiplies, so that
    the unit and the zero of the intensities do not matter.
    """
    blocks = [max(1, round(COARSE_MM / step)) for step in spacing_mm]
    sigma = [SMOOTHNESS_MM / (n * step) for n, step in zip(blocks, spacing_mm, strict=True)]
    total, share = (
        scipy.ndimage.gaussian_filter(_block_sums(image, blocks), sigma, mode="constant")
        for image in (residual * weight, weight)
    )
    coarse = total / np.maximum(share, 1e-6 * float(share.max()))
    # Block centres are at (n - 1) / 2 + k n: linear between them, constant beyond.
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
