"""All metrics of one prediction, in the brain and in the whole image, from one pass."""

import numpy as np

from mrcontrast.metrics.definitions import OUTSIDE
from mrcontrast.metrics.multiscale import SimilarityPyramid
from mrcontrast.metrics.voxelwise import (
    check_pair,
    mean_absolute_error,
    peak_signal_to_noise,
    root_mean_square_error,
    share_outside,
)

Scores = dict[str, float]


def score_regions(
    prediction: np.ndarray,
    target: np.ndarray,
    mask: np.ndarray,
    intensity_range: tuple[float, float],
    num_scales: int,
) -> dict[str, Scores]:
    """Return every metric of one prediction by region: {"brain": {"mae": ...}, "image": ...}.

    Args:
        prediction: Image, (*S), in the units of the target; not clipped.
        target: Reference image on the same grid, (*S).
        mask: The brain, (*S) bool.
        intensity_range: Lower and upper end of the intensities, in the units of the images.
        num_scales: Scales of MS-SSIM.

    Raises:
        MrcontrastError: Shapes differ, the mask is empty, or the images are too small.
    """
    check_pair(prediction, target, mask)
    low, high = intensity_range
    pyramid = SimilarityPyramid(prediction, target, high - low, num_scales)
    return {
        region: {
            "mae": mean_absolute_error(prediction, target, voxels),
            "rmse": root_mean_square_error(prediction, target, voxels),
            "psnr": peak_signal_to_noise(prediction, target, high - low, voxels),
            "ssim": pyramid.ssim(voxels),
            "ms_ssim": pyramid.ms_ssim(voxels),
            OUTSIDE: share_outside(prediction, low, high, voxels),
        }
        for region, voxels in (("brain", mask), ("image", None))
    }
