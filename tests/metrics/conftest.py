"""Pairs of images, random and smooth, in two and three dimensions."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import ndimage

from mrcontrast.metrics.multiscale import SimilarityPyramid, count_scales


def ms_ssim(
    prediction: np.ndarray,
    target: np.ndarray,
    data_range: float,
    mask: np.ndarray | None = None,
    num_scales: int | None = None,
) -> float | None:
    """Return MS-SSIM of two images (*S), by default with as many scales as fit."""
    scales = num_scales or count_scales(target.shape)
    return SimilarityPyramid(prediction, target, data_range, scales).ms_ssim(mask)


@pytest.fixture
def make_pair() -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    def make(shape: tuple[int, ...], smoothness: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(0)
        target, noise = rng.random(shape), rng.standard_normal(shape)
        if smoothness:
            target = ndimage.gaussian_filter(target, smoothness)
            target = (target - target.min()) / np.ptp(target)
            noise = ndimage.gaussian_filter(noise, smoothness / 2)
        return 0.9 * target + 0.1 * noise / noise.std(), target

    return make
