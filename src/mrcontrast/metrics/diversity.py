"""How alike volumes are to each other: MS-SSIM over pairs."""

from itertools import combinations

import numpy as np

from mrcontrast.errors import MrcontrastError
from mrcontrast.metrics.multiscale import ms_ssim

MAX_PAIRS = 50


def choose_pairs(names: list[str], most: int = MAX_PAIRS) -> list[tuple[str, str]]:
    """Return all pairs of names, or ``most`` of them at even distances if there are more.

    Example:
        >>> choose_pairs(["a", "b", "c"])
        [('a', 'b'), ('a', 'c'), ('b', 'c')]
    """
    pairs = list(combinations(names, 2))
    if len(pairs) <= most:
        return pairs
    return [pairs[round(index)] for index in np.linspace(0, len(pairs) - 1, most)]


def mean_ms_ssim(images: list[np.ndarray], data_range: float) -> float:
    """Return the mean MS-SSIM over all pairs of images, such as draws for one subject.

    1 says that all are equal; the value of real images is the one to reach.

    Args:
        images: At least two, (*S) each, on one grid.
        data_range: Width of the intensity range, in the units of the images; > 0.

    Raises:
        MrcontrastError: There are fewer than two, or their shapes differ.

    Source: Odena et al. 2017, arXiv 1610.09585, section 4.2 (diversity); Pinaya et al. 2022, arXiv
    2209.07162 (of brains, by MS-SSIM in 3D).
    """
    if len(images) < 2:
        raise MrcontrastError(f"Expected at least two images to compare, got {len(images)}.")
    values = [ms_ssim(first, second, data_range) for first, second in combinations(images, 2)]
    return float(np.mean(values))
