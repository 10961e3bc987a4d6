"""Structural similarity (SSIM) in 2D and 3D: local maps and their mean.

The window is the Gaussian of Wang et al. 2004 with population variances. ``ssim`` is
scikit-image's; ``similarity_maps`` agrees with it and also returns the map that MS-SSIM needs.
"""

from typing import Literal, NamedTuple

import numpy as np
from scipy import ndimage
from skimage.metrics import structural_similarity

from mrcontrast.errors import MrcontrastError
from mrcontrast.metrics.voxelwise import check_data_range, check_pair

SIGMA_VOXELS = 1.5
RADIUS = 5
WINDOW = 2 * RADIUS + 1
K1, K2 = 0.01, 0.03

Border = Literal["reflect", "mirror"]


class Similarity(NamedTuple):
    """Maps of one scale, (*S) each: SSIM and its contrast-structure factor."""

    ssim: np.ndarray
    contrast: np.ndarray


def similarity_maps(
    prediction: np.ndarray, target: np.ndarray, data_range: float, border: Border = "reflect"
) -> Similarity:
    """Compute the SSIM map and the map of its contrast-structure factor, float64.

    With p = x + y and q = x - y: mu_x mu_y = (mu_p^2 - mu_q^2) / 4 and
    cov(x, y) = (var p - var q) / 4, so that four local means do for five.

    Args:
        prediction: Image x, (*S), two or three axes, each at least one window long.
        target: Image y on the same grid, (*S).
        data_range: Width of the intensity range, in the units of the images; > 0.
        border: "reflect" repeats the edge voxel (scikit-image), "mirror" does not (torchmetrics).

    Raises:
        MrcontrastError: Shapes differ, an axis is shorter than the window, or the range is bad.

    Source: Wang et al. 2004, IEEE TIP 13(4), eq. 13, with C3 = C2 / 2.
    """
    check_images(prediction, target, data_range)
    total = np.add(prediction, target, dtype=np.float64)
    change = np.subtract(prediction, target, dtype=np.float64)
    total_mean, total_variance = _moments(total, border)
    change_mean, change_variance = _moments(change, border)
    contrast = _ratio(total_variance, change_variance, 2 * (K2 * data_range) ** 2)
    np.square(total_mean, out=total_mean)
    np.square(change_mean, out=change_mean)
    luminance = _ratio(total_mean, change_mean, 2 * (K1 * data_range) ** 2)
    return Similarity(np.multiply(luminance, contrast, out=luminance), contrast)


def ssim(
    prediction: np.ndarray, target: np.ndarray, data_range: float, mask: np.ndarray | None = None
) -> float:
    """Return the mean structural similarity of two images, by scikit-image.

    Arguments as ``similarity_maps``, with a mask (*S) bool of the voxels whose map values are
    averaged. Their windows extend up to 5 voxels outside the mask. Without a mask a margin of 5
    voxels is left out.
    """
    check_images(prediction, target, data_range, mask)
    _, image = structural_similarity(
        prediction.astype(np.float64),
        target.astype(np.float64),
        data_range=data_range,
        gaussian_weights=True,
        sigma=SIGMA_VOXELS,
        use_sample_covariance=False,
        full=True,
    )
    return mean_of_map(image, mask)


def mean_of_map(image: np.ndarray, mask: np.ndarray | None) -> float:
    """Return the mean of a similarity map (*S) over a mask, or over all but a margin of 5 voxels.

    Sums are in float64.
    """
    chosen = image[(slice(RADIUS, -RADIUS),) * image.ndim] if mask is None else image[mask]
    return float(chosen.mean(dtype=np.float64))


def check_images(
    prediction: np.ndarray, target: np.ndarray, data_range: float, mask: np.ndarray | None = None
) -> None:
    """Raise MrcontrastError for a bad range, shapes that differ, an empty mask or small images."""
    check_data_range(data_range)
    check_pair(prediction, target, mask)
    check_extent(target.shape)


def check_extent(shape: tuple[int, ...]) -> None:
    """Raise MrcontrastError unless there are two or three axes of at least one window."""
    if len(shape) not in (2, 3) or min(shape) < WINDOW:
        raise MrcontrastError(
            f"Expected two or three axes of at least {WINDOW} voxels for SSIM, got shape {shape}. "
            "Compare larger images."
        )


def smooth(image: np.ndarray, border: Border = "reflect") -> np.ndarray:
    """Return the local mean of an image (*S) in SSIM's Gaussian window."""
    return ndimage.gaussian_filter(image, SIGMA_VOXELS, mode=border, radius=RADIUS)


def _moments(image: np.ndarray, border: Border) -> tuple[np.ndarray, np.ndarray]:
    """Return local mean and local variance, (*S) each; ``image`` is overwritten."""
    mean = smooth(image, border)
    variance = smooth(np.square(image, out=image), border)
    variance -= np.square(mean, out=image)
    return mean, np.maximum(variance, 0.0, out=variance)  # rounding may leave -1e-17


def _ratio(total: np.ndarray, change: np.ndarray, constant: float) -> np.ndarray:
    """Return (total - change + constant) / (total + change + constant), written into ``total``."""
    denominator = total + change
    denominator += constant
    total -= change
    total += constant
    return np.divide(total, denominator, out=total)
