"""Mean over subjects with its spread and bootstrap interval."""

import math
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.95
RESAMPLES = 10_000
BLOCK = 500


@dataclass(frozen=True)
class Statistic:
    """A figure over subjects; what cannot be known is None.

    Attributes:
        mean: Mean over subjects; None when a value is infinite (PSNR of equal images).
        sd: Standard deviation over subjects (n - 1); None for one subject.
        ci95: Lower and upper end of the 95 % bootstrap interval of the mean; None for one subject.
        n: Number of subjects.
    """

    mean: float | None
    sd: float | None
    ci95: tuple[float, float] | None
    n: int


def summarise(values: np.ndarray, seed: int = 0) -> Statistic:
    """Summarise one metric over independent subjects.

    The interval is the percentile bootstrap: the 2.5th and 97.5th percentile of the means of 10,000
    resamples. Equal seed and n draw equal resamples, so methods are resampled in pairs.

    Args:
        values: One value a subject, (N,), N >= 1.
        seed: Seed of the resampling.

    Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13.

    Example:
        >>> summarise(np.array([0.5]))
        Statistic(mean=0.5, sd=None, ci95=None, n=1)
    """
    values = np.asarray(values, dtype=np.float64)
    if not np.isfinite(values).all():
        return Statistic(mean=None, sd=None, ci95=None, n=len(values))
    if len(values) == 1:
        return Statistic(mean=float(values[0]), sd=None, ci95=None, n=1)
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(resampled_means(values, seed), [tail, 100 - tail])
    sd = math.sqrt(float(values.var(ddof=1)))
    return Statistic(float(values.mean()), sd, (float(low), float(high)), len(values))


def resampled_means(values: np.ndarray, seed: int) -> np.ndarray:
    """Return the means of resamples with replacement, (RESAMPLES,), drawn block by block.

    Args:
        values: One value a subject, (N,) float64.
        seed: Seed of the resampling.
    """
    generator = np.random.default_rng(seed)
    blocks = []
    for _ in range(RESAMPLES // BLOCK):
        chosen = generator.integers(len(values), size=(BLOCK, len(values)))
        blocks.append(values[chosen].mean(axis=1))
    return np.concatenate(blocks)
