"""CSF, grey and white matter of a skull-stripped T1w image: three Gaussians on a random field.

A method for comparisons, not for anatomy: the same on both images, without atlas or training, so
that it cannot fill in what an image does not show. Its Dice against known labels stands in
``experiments/metrics``.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.special import softmax

from mrcontrast.imaging.tissue_bias import SMOOTHNESS_MM, smooth_residual

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
    """Three Gaussians of one width, darkest first.

    One width for all: left free, that of CSF grows over the voxels it shares with grey matter, and
    of a scan with little contrast a class may vanish.

    Attributes:
        mean: (3, 1).
        variance: Mean square distance of the voxels to their class.
        share: (3, 1), of the voxels.
    """

    mean: np.ndarray
    variance: float
    share: np.ndarray

    def energies(self, voxels: np.ndarray) -> np.ndarray:
        """Return -log(share * density) by class and voxel, less a constant, (3, N)."""
        return (voxels - self.mean) ** 2 / (2 * self.variance) - np.log(self.share)


def segment_tissues(
    image: np.ndarray, mask: np.ndarray, spacing_mm: tuple[float, ...]
) -> np.ndarray:
    """Return labels (*S) uint8: 0 outside, 1 CSF, 2 GM, 3 WM; a flat image is all GM.

    Args:
        image: T1w, (*S), any units.
        mask: The brain, (*S) bool, not empty.
        spacing_mm: Distance of neighbouring voxels along each axis.

    Source: Zhang, Brady and Smith 2001, IEEE TMI 20(1), eqs. 9 to 13; ours fits the classes first,
    with one width, and replaces iterated conditional modes by mean-field steps.
    """
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
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
        probability = softmax(-classes.energies(voxels), axis=0)
        residual = np.zeros(image.shape)
        residual[inside] = image[inside] - (probability * classes.mean).sum(axis=0)
        shading = smooth_residual(residual, inside.astype(np.float64), spacing_mm)
        voxels = image[inside] - shading[inside]
        classes = fit_classes(voxels, classes.mean[:, 0])
    return classes, voxels


def fit_classes(voxels: np.ndarray, start: np.ndarray | None = None) -> Classes:
    """Find the means of three classes by k-means; on a line, sorted sums make it exact and quick.

    Args:
        voxels: Intensities, (N,).
        start: (3,) means to begin with; quantiles when None.

    Source: Lloyd 1982, IEEE TIT 28(2).

    Example:
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
    """Return class probabilities (3, *S) after steps in which neighbours in the mask vote."""
    probability = softmax(-energy, axis=0) * inside
    for _ in range(ITERATIONS):
        votes = np.zeros_like(probability)
        for axis in range(1, probability.ndim):
            mine, ours = np.moveaxis(votes, axis, 0), np.moveaxis(probability, axis, 0)
            mine[:-1] += ours[1:]
            mine[1:] += ours[:-1]
        probability = softmax(SMOOTHNESS * votes - energy, axis=0) * inside
    return probability
