"""Quality measures of one volume in its mask, for sorting and filtering."""

import math

import numpy as np
import scipy
import skimage

from mrcontrast.errors import MrcontrastError
from mrcontrast.storage.volume import Volume

MAD_OF_NORMAL = 0.6744897501960817  # median of |x| of a standard normal distribution
BINS = 256


def measure_quality(volume: Volume, mask: np.ndarray) -> dict[str, float]:
    """Measure one volume in the mask (X, Y, Z), bool, of its brain or head.

    Returns:
        ``spacing_min_mm``, ``spacing_max_mm``, ``mask_ml``; ``fov_margin_mm``: least distance from
        the mask to a face of the field of view (0: the brain may be cut off); ``negative_fraction``
        and ``zero_fraction`` of the mask; ``saturated_fraction`` at the volume's largest value (0
        for a single voxel); ``noise_sd``, ``snr`` (mean over it), ``contrast``, ``cnr``.

    Raises:
        MrcontrastError: The mask is empty or has another shape.
    """
    inside = np.asarray(mask, bool)
    if inside.shape != volume.shape or not inside.any():
        raise MrcontrastError(
            f"Expected a mask with voxels of shape {volume.shape}, got {int(inside.sum())} voxels "
            f"of {inside.shape}. Check the mask."
        )
    values = volume.data[inside].astype(np.float64)
    top = int((values == volume.data.max()).sum())
    noise = noise_sd(volume.data, inside)
    contrast, difference = tissue_contrast(values)
    return {
        "spacing_min_mm": min(volume.spacing_mm),
        "spacing_max_mm": max(volume.spacing_mm),
        "mask_ml": float(inside.sum()) * abs(float(np.linalg.det(volume.affine[:3, :3]))) / 1000,
        "fov_margin_mm": fov_margin_mm(volume, inside),
        "negative_fraction": float((values < 0).mean()),
        "zero_fraction": float((values == 0).mean()),
        "saturated_fraction": top / values.size if top > 1 else 0.0,
        "noise_sd": noise,
        "snr": _ratio(float(values.mean()), noise),
        "contrast": contrast,
        "cnr": _ratio(difference, noise),
    }


def noise_sd(data: np.ndarray, mask: np.ndarray) -> float:
    """Estimate the standard deviation of the noise from second differences inside a mask (X, Y, Z).

    The residual of a voxel against the mean of its two neighbours along an axis has sqrt(1.5) times
    the noise and little anatomy; the median excludes edges. The result, in the units of the data,
    is the least over axes, that of the finest sampling; 0 if no voxel has neighbours in the mask.
    Smoothed or interpolated data give less than the scanner's noise.

    Source: Rousseeuw and Croux 1993, JASA 88:1273 (MAD); Gasser et al. 1986, Biometrika 73:625
    (pseudo-residuals).
    """
    image, found = np.asarray(data, np.float64), []
    for axis in range(image.ndim):
        kernel = np.zeros([3 if k == axis else 1 for k in range(image.ndim)])
        kernel.flat[:] = (-0.5, 1.0, -0.5)
        counted = scipy.ndimage.binary_erosion(mask, np.ones(kernel.shape, bool))
        if counted.any():
            residual = scipy.ndimage.convolve(image, kernel)[counted]
            found.append(float(np.median(np.abs(residual))) / MAD_OF_NORMAL / math.sqrt(1.5))
    return min(found, default=0.0)


def tissue_contrast(values: np.ndarray) -> tuple[float, float]:
    """Split intensities (N,) by Otsu's threshold: explained share of the variance, and difference.

    The share, Otsu's eta, is .64 for one normal distribution and near 1 for two separate ones; the
    difference is that of the means of both halves.

    Source: Otsu 1979, IEEE SMC 9(1):62, eq. 12-19.
    """
    low, high = np.percentile(values, [0.5, 99.5])
    if not high > low:
        return 0.0, 0.0
    counts, edges = np.histogram(np.clip(values, low, high), BINS, (low, high))
    centres = (edges[1:] + edges[:-1]) / 2
    below = centres <= skimage.filters.threshold_otsu(hist=(counts, centres))
    (few, dark), (many, bright) = (
        (counts[side].sum() / counts.sum(), np.average(centres[side], weights=counts[side]))
        for side in (below, ~below)
    )
    mean = np.average(centres, weights=counts)
    variance = float(np.average((centres - mean) ** 2, weights=counts))
    return float(few * many * (bright - dark) ** 2 / variance), float(bright - dark)


def fov_margin_mm(volume: Volume, mask: np.ndarray) -> float:
    """Return the least distance from the mask (X, Y, Z) to a face of the field of view (mm)."""
    margins = []
    for axis, step in enumerate(volume.spacing_mm):
        used = np.flatnonzero(mask.any(axis=tuple(k for k in range(3) if k != axis)))
        margins += [used[0] * step, (mask.shape[axis] - 1 - used[-1]) * step]
    return float(min(margins))


def _ratio(value: float, noise: float) -> float:
    """Divide by the noise; 0 without noise."""
    return value / noise if noise > 0 else 0.0
