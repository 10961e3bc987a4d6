"""Voxelwise errors: MAE, RMSE, PSNR, and the share of voxels outside the intensity range.

Images are arrays (*S) in two or three dimensions; sums run in float64.
"""

import math

import numpy as np

from mrcontrast.errors import MrcontrastError


def mean_absolute_error(
    prediction: np.ndarray, target: np.ndarray, mask: np.ndarray | None = None
) -> float:
    """Return mean(|prediction - target|) over the mask, in the units of the images.

    Images and mask (bool) are (*S); without a mask all voxels count.

    Raises:
        MrcontrastError: The shapes differ or the mask is empty.

    Example:
        >>> mean_absolute_error(np.array([[0.0, 1.0]]), np.array([[0.5, 1.0]]))
        0.25
    """
    return float(np.abs(_difference(prediction, target, mask)).mean())


def root_mean_square_error(
    prediction: np.ndarray, target: np.ndarray, mask: np.ndarray | None = None
) -> float:
    """Return sqrt(mean((prediction - target)^2)); arguments as ``mean_absolute_error``."""
    difference = _difference(prediction, target, mask).ravel()
    return math.sqrt(float(difference @ difference) / difference.size)


def peak_signal_to_noise(
    prediction: np.ndarray, target: np.ndarray, data_range: float, mask: np.ndarray | None = None
) -> float:
    """Return 20 log10(data_range / RMSE) over the mask, in dB; infinite for equal images.

    Arguments as ``mean_absolute_error``; ``data_range`` is in the units of the images, > 0.

    Example:
        >>> peak_signal_to_noise(np.full((2, 2), 0.1), np.zeros((2, 2)), data_range=1.0)
        20.0
    """
    check_data_range(data_range)
    error = root_mean_square_error(prediction, target, mask)
    return math.inf if error == 0 else 20 * math.log10(data_range / error)


def share_outside(
    image: np.ndarray, low: float, high: float, mask: np.ndarray | None = None
) -> float:
    """Return the share of voxels of an image (*S), or in a mask (*S), outside [low, high]."""
    voxels = image if mask is None else image[mask]
    return float(np.mean((voxels < low) | (voxels > high)))


def check_data_range(data_range: float) -> None:
    """Raise MrcontrastError unless a range is a finite number above 0."""
    if not (math.isfinite(data_range) and data_range > 0):
        raise MrcontrastError(
            f"Expected an intensity range of positive width, got {data_range}. Give LO < HI."
        )


def check_pair(prediction: np.ndarray, target: np.ndarray, mask: np.ndarray | None) -> None:
    """Raise MrcontrastError unless arrays have one shape and the mask has a voxel."""
    if prediction.shape != target.shape:
        raise MrcontrastError(
            f"Expected a prediction of the target's shape {target.shape}, got {prediction.shape}."
        )
    if mask is None:
        return
    if mask.shape != target.shape:
        raise MrcontrastError(
            f"Expected a mask of the target's shape {target.shape}, got {mask.shape}."
        )
    if not mask.any():
        raise MrcontrastError("Expected a mask with voxels in it, got an empty one.")


def _difference(prediction: np.ndarray, target: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """Return prediction - target over the mask, float64, (N,) with a mask and (*S) without."""
    check_pair(prediction, target, mask)
    if mask is not None:
        prediction, target = prediction[mask], target[mask]
    return np.subtract(prediction, target, dtype=np.float64)
