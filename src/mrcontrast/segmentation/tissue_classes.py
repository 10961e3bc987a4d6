"""CSF, grey and white matter of a skull-stripped T1w image: a Gaussian mixture on a random field.

A method for comparisons, not for anatomy: the same on both images, without atlas or training, so
that it cannot fill in what an image does not show. Its Dice against known labels stands in
``experiments/metrics``.
"""

import warnings

import numpy as np
from scipy import ndimage

CSF, GM, WM = 1, 2, 3  # darkest to brightest on T1w; the labels of a prepared data set
TISSUES = {"csf": CSF, "gm": GM, "wm": WM}
START_QUANTILES = (0.1, 0.45, 0.85)
MAX_SAMPLES = 20_000
SMOOTHNESS = 0.3
ITERATIONS = 10
METHOD = (
    "three Gaussians of the intensities in the mask (scikit-learn's GaussianMixture, at most "
    f"{MAX_SAMPLES} voxels, started at quantiles {START_QUANTILES}), smoothed by mean-field steps "
    f"on a Markov random field ({ITERATIONS} steps, weight {SMOOTHNESS} for each of 6 neighbours); "
    "classes in order of their means: CSF, GM, WM. The same for real and synthetic images; lesions "
    "go where their intensity puts them"
)


def segment_tissues(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return labels (*S) uint8: 0 outside, 1 CSF, 2 GM, 3 WM; a flat image is all GM.

    Args:
        image: T1w, (*S), any units.
        mask: The brain, (*S) bool, not empty.

    Source: Zhang, Brady and Smith 2001, IEEE TMI 20(1), eqs. 9 to 13; ours fits the mixture first,
    keeps it, and replaces iterated conditional modes by mean-field steps.
    """
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    inside = mask[box]
    voxels = np.asarray(image[box][inside], np.float64)
    labels = np.zeros(image.shape, np.uint8)
    spread = float(voxels.std())
    if spread <= 1e-6 * float(np.abs(voxels).max()):
        labels[box][inside] = GM
        return labels
    standard = (voxels - voxels.mean()) / spread
    energy = np.zeros((len(TISSUES), *inside.shape), np.float32)
    energy[:, inside] = _energies(standard)
    labels[box] = (_mean_field(energy, inside).argmax(axis=0) + 1) * inside
    return labels


def _energies(voxels: np.ndarray) -> np.ndarray:
    """Fit the mixture; return -log(weight * density) by class and voxel, (3, N), darkest first."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    sample = voxels[:: max(1, len(voxels) // MAX_SAMPLES), None]
    starts = np.quantile(sample, START_QUANTILES)[:, None]
    mixture = GaussianMixture(
        len(TISSUES), means_init=starts, reg_covar=1e-4, max_iter=300, tol=1e-4, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # of images without three classes
        mixture.fit(sample)
    order = np.argsort(mixture.means_[:, 0])
    mean = mixture.means_[order]
    variance = mixture.covariances_[order, 0]
    weight = mixture.weights_[order, None]
    return (voxels - mean) ** 2 / (2 * variance) + np.log(variance) / 2 - np.log(weight)


def _mean_field(energy: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Return class probabilities (3, *S) after steps in which neighbours in the mask vote."""
    probability = _softmax(-energy) * inside
    for _ in range(ITERATIONS):
        votes = np.zeros_like(probability)
        for axis in range(1, probability.ndim):
            mine, ours = np.moveaxis(votes, axis, 0), np.moveaxis(probability, axis, 0)
            mine[:-1] += ours[1:]
            mine[1:] += ours[:-1]
        probability = _softmax(SMOOTHNESS * votes - energy) * inside
    return probability


def _softmax(values: np.ndarray) -> np.ndarray:
    """Return exp(values) over its sum along the first axis, without overflow."""
    powers = np.exp(values - values.max(axis=0))
    return powers / powers.sum(axis=0)
