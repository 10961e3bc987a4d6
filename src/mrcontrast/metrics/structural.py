"""Structural similarity (SSIM) in two and three dimensions: the local maps and their mean.

The window is the Gaussian of Wang et al. 2004, sigma 1.5 voxels and 11 taps an axis, applied axis
by axis; local variances are population variances, as in that paper. All maps are float64.
"""

from typing import Literal, NamedTuple

import numpy as np
from scipy import ndimage

from mrcontrast.errors import MrcontrastError
from mrcontrast.metrics.voxelwise import check_data_range, check_pair

SIGMA_VOXELS = 1.5
RADIUS = 5
WINDOW = 2 * RADIUS + 1
K1, K2 = 0.01, 0.03

Border = Literal["reflect", "mirror"]


class Similarity(NamedTuple):
    """Maps of one scale: SSIM and its contrast-structure factor, both (*S) float64."""

    ssim: np.ndarray
    contrast: np.ndarray


def similarity_maps(
    prediction: np.ndarray, target: np.ndarray, data_range: float, border: Border = "reflect"
) -> Similarity:
    """Compute the SSIM map and the map of its contrast-structure factor.

    With p = x + y and q = x - y four local means do instead of five:
    mu_x mu_y = (mu_p^2 - mu_q^2) / 4 and cov(x, y) = (var p - var q) / 4.

    Args:
        prediction: Image x, (*S), two or three axes, each at least one window long.
        target: Image y on the same grid, (*S).
        data_range: Width of the intensity range, in the units of the images; > 0.
        border: "reflect" repeats the edge voxel (scikit-image), "mirror" does not (torchmetrics).

    Raises:
        MrcontrastError: Shapes differ, an axis is shorter than the window, or the range is bad.

    Source: Wang et al. 2004, IEEE TIP 13(4), eq. 13, with C3 = C2 / 2.
    """
    check_data_range(data_range)
    check_pair(prediction, target, None)
    check_extent(target.shape)
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
    """Return the mean structural similarity of two images over a mask, or over the whole image.

    Args:
        prediction: Image, (*S), two or three axes.
        target: Image on the same grid, (*S).
        data_range: Width of the intensity range, in the units of the images; > 0.
        mask: Voxels whose map values are averaged, (*S) bool. Their windows reach up to 5 voxels
            beyond the mask. Without a mask the strip of 5 voxels at the edges is left out.

    Raises:
        MrcontrastError: Shapes differ, the mask is empty, or an axis is shorter than the window.

    Source: Wang et al. 2004; scikit-image with ``gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False`` gives the same values.
    """
    check_pair(prediction, target, mask)
    return mean_of_map(similarity_maps(prediction, target, data_range).ssim, mask)


def mean_of_map(image: np.ndarray, mask: np.ndarray | None) -> float:
    """Return the mean of a similarity map (*S) over a mask, or over all but the strip of edges."""
    if mask is not None:
        return float(image[mask].mean())
    return float(image[(slice(RADIUS, -RADIUS),) * image.ndim].mean())


def check_extent(shape: tuple[int, ...]) -> None:
    """Refuse an image that is shorter than the window along an axis.

    Raises:
        MrcontrastError: An axis is too short, or there are not two or three of them.
    """
    if len(shape) not in (2, 3) or min(shape) < WINDOW:
        raise MrcontrastError(
            f"Expected two or three axes of at least {WINDOW} voxels for SSIM, got shape {shape}. "
            "Compare larger images."
        )


def _smooth(image: np.ndarray, border: Border) -> np.ndarray:
    return ndimage.gaussian_filter(image, SIGMA_VOXELS, mode=border, radius=RADIUS)


def _moments(image: np.ndarray, border: Border) -> tuple[np.ndarray, np.ndarray]:
    """Return local mean and local variance, (*S) each; ``image`` is overwritten."""
    mean = _smooth(image, border)
    variance = _smooth(np.square(image, out=image), border)
    variance -= np.square(mean, out=image)
    return mean, np.maximum(variance, 0.0, out=variance)  # rounding may leave -1e-17


def _ratio(total: np.ndarray, change: np.ndarray, constant: float) -> np.ndarray:
    """Return (total - change + constant) / (total + change + constant), written into ``total``."""
    denominator = total + change
    denominator += constant
    total -= change
    total += constant
    return np.divide(total, denominator, out=total)
