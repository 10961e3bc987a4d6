"""Mean over subjects with its standard deviation and 95 % interval."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
MIN_SUBJECTS = 5  # with fewer no interval of a mean covers 95 %
METHOD = (
    "the wider end of Student's t and of t corrected for skewness (Hall 1992); null below "
    f"{MIN_SUBJECTS} subjects, where the interval would not cover as often as it says"
)


@dataclass(frozen=True)
class Statistic:
    """Statistics of one value over subjects."""

    mean: float | None  # None when a value is infinite (PSNR of equal images)
    sd: float | None  # n - 1; None for one subject
    ci95: tuple[float, float] | None  # interval of the mean; None below five subjects
    n: int  # subjects


def summarise(values: np.ndarray) -> Statistic:
    """Summarise one metric over independent subjects, (N,), N >= 1."""
    values = np.asarray(values, dtype=np.float64)
    n = len(values)
    if not np.isfinite(values).all():
        return Statistic(mean=None, sd=None, ci95=None, n=n)
    sd = float(values.std(ddof=1)) if n > 1 else None
    ends = None
    if n >= MIN_SUBJECTS:
        low, high = mean_interval(values)
        ends = float(low), float(high)
    return Statistic(float(values.mean()), sd, ends, n)


def mean_interval(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both ends, (...) each, of the 95 % interval of the mean of values (..., N), N >= 3.

    Student's t alone covers too rarely when subjects are skewed and few. Its ends are moved
    outwards to those of Hall's transformation, which corrects t for skewness, where they are wider.
    ``experiments/metrics`` has the simulated coverage.

    Source: Hall 1992, J. R. Statist. Soc. B 54(1), section 2 (the cubic transformation), with
    Student's t for the normal distribution and the skewness as estimated from n - 1.
    """
    n = values.shape[-1]
    mean, sd = values.mean(axis=-1), values.std(axis=-1, ddof=1)
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1)) / math.sqrt(n)
    skewness = _skewness(values)
    ends = [
        mean - sd * np.stack([steps, _corrected(steps, skewness, n)])
        for steps in (np.full_like(mean, reach), np.full_like(mean, -reach))
    ]
    return ends[0].min(axis=0), ends[1].max(axis=0)


def _skewness(values: np.ndarray) -> np.ndarray:
    """Return the adjusted skewness of values (..., N); 0 where they are all equal."""
    n = values.shape[-1]
    centred = values - values.mean(axis=-1, keepdims=True)
    spread = np.sqrt(np.mean(centred**2, axis=-1))
    flat = spread <= 1e-12 * np.abs(values).max(axis=-1)
    third = np.mean(centred**3, axis=-1) / np.where(flat, 1.0, spread) ** 3
    return np.where(flat, 0.0, third) * math.sqrt(n * (n - 1)) / (n - 2)


def _corrected(steps: np.ndarray, skewness: np.ndarray, n: int) -> np.ndarray:
    """Return the steps of t over sqrt(n) that Hall's cubic maps onto those given, (...)."""
    slope = np.where(np.abs(skewness) < 1e-6, 1e-6, skewness)
    return 3 / slope * (np.cbrt(1 + slope * (steps - slope / (6 * n))) - 1)
