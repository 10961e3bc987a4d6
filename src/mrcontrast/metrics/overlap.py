"""Overlap and volume of labelled tissues."""

import math

import numpy as np


def dice(first: np.ndarray, second: np.ndarray) -> float:
    """Return 2 |A and B| / (|A| + |B|) of two masks (*S) bool, in [0, 1]; 1 if both are empty.

    Source: Dice 1945, Ecology 26(3).

    Example:
        >>> dice(np.array([True, True, False]), np.array([True, False, False]))
        0.6666666666666666
    """
    total = int(first.sum()) + int(second.sum())
    return 1.0 if total == 0 else 2 * int((first & second).sum()) / total


def volume_ml(mask: np.ndarray, spacing_mm: tuple[float, ...]) -> float:
    """Return the volume of a mask (X, Y, Z) bool, in ml."""
    return int(mask.sum()) * math.prod(spacing_mm) / 1000


def volume_change_percent(synthetic_ml: float, real_ml: float) -> float:
    """Return the relative volume change in percent of the real volume; NaN if that is 0."""
    return 100 * (synthetic_ml - real_ml) / real_ml if real_ml else float("nan")
