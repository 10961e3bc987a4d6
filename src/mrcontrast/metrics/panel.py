"""All metrics of one prediction, region by region, from one pass."""

from collections.abc import Mapping

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
Regions = Mapping[str, np.ndarray | None]


def score_regions(
    prediction: np.ndarray,
    target: np.ndarray,
    regions: Regions,
    intensity_range: tuple[float, float],
    num_scales: int,
) -> dict[str, Scores]:
    """Return every metric of one prediction by region: {"brain": {"mae": ...}, "image": ...}.

    MS-SSIM is left out of a region so small that a coarse scale loses it.

    Args:
        prediction: Image, (*S), in the units of the target; not clipped.
        target: Reference image on the same grid, (*S).
        regions: Voxels that count, (*S) bool, by name; None for the whole image.
        intensity_range: Lower and upper end of the intensities, in the units of the images.
        num_scales: Scales of MS-SSIM.

    Raises:
        MrcontrastError: Shapes differ, a region is empty, or the images are too small.
    """
    for voxels in regions.values():
        check_pair(prediction, target, voxels)
    low, high = intensity_range
    pyramid = SimilarityPyramid(prediction, target, high - low, num_scales)
    found: dict[str, Scores] = {}
    for region, voxels in regions.items():
        similarity = pyramid.ms_ssim(voxels)
        found[region] = {
            "mae": mean_absolute_error(prediction, target, voxels),
            "rmse": root_mean_square_error(prediction, target, voxels),
            "psnr": peak_signal_to_noise(prediction, target, high - low, voxels),
            "ssim": pyramid.ssim(voxels),
            **({} if similarity is None else {"ms_ssim": similarity}),
            OUTSIDE: share_outside(prediction, low, high, voxels),
        }
    return found
