"""Distances between two sets of feature vectors (N, D), in float64: Frechet, kernel and MMD."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from mrcontrast.errors import MrcontrastError
from mrcontrast.metrics.intervals import MIN_SUBJECTS, mean_interval

MEDIAN_VECTORS = 2000  # of each set, for the width of the Gaussian kernel

Kernel = Callable[[np.ndarray, np.ndarray], np.ndarray]


def frechet_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Return the Frechet distance of two sets of features, each modelled as a normal distribution.

    The value is biased upwards, the more so the fewer and the more dependent the vectors are.
    Compare values of equal numbers of subjects and vectors only.

    Args:
        first: (N, D), N > D.
        second: (M, D), M > D.

    Raises:
        MrcontrastError: A set has no more vectors than dimensions, so its covariance is singular.

    Source: Heusel et al. 2017, arXiv 1706.08500, eq. 6; the trace of the root by the eigenvalues of
    the symmetric S1^(1/2) S2 S1^(1/2).
    """
    if (n := min(len(first), len(second))) <= first.shape[1]:
        raise MrcontrastError(
            f"Expected more feature vectors than their {first.shape[1]} dimensions for a Frechet "
            f"distance, got {n}. Take KID, or more subjects."
        )
    means = [features.mean(axis=0, dtype=np.float64) for features in (first, second)]
    one, two = (np.cov(features.astype(np.float64), rowvar=False) for features in (first, second))
    values, vectors = np.linalg.eigh(one)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    cross = np.linalg.eigvalsh(root @ two @ root)
    trace = float(np.sqrt(np.maximum(cross, 0)).sum())
    change = means[0] - means[1]
    return float(change @ change + np.trace(one) + np.trace(two) - 2 * trace)


def cubic_kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return KID's kernel (x y / D + 1)^3 between vectors (N, D) and (M, D), as (N, M).

    Source: Binkowski et al. 2018, arXiv 1801.01401, section 4.
    """
    return np.asarray((x @ y.T / x.shape[1] + 1) ** 3)


def gaussian_kernel(first: np.ndarray, second: np.ndarray) -> Kernel:
    """Return the Gaussian kernel whose width is the median squared distance of two sets (N, D).

    Equal vectors do not count. A set of more than ``MEDIAN_VECTORS`` is subsampled with a fixed
    seed.

    Source: Gretton et al. 2012, JMLR 13, section 8 (median).
    """
    a, b = (_few(features.astype(np.float64)) for features in (first, second))
    pairs = ((a, a), (b, b), (a, b))
    every = np.concatenate([_squared_distances(x, y).ravel() for x, y in pairs])
    median = float(np.median(every[every > 1e-12 * every.max()])) if every.any() else 1.0
    return lambda x, y: np.exp(-_squared_distances(x, y) / (2 * median))


class Interval(NamedTuple):
    """A distance and its 95 % jackknife interval; None where subjects are too few."""

    value: float | None
    ci95: tuple[float, float] | None


def with_interval(
    first: np.ndarray, second: np.ndarray, kernel: Kernel, subjects: tuple[np.ndarray, np.ndarray]
) -> Interval:
    """Return the squared MMD over pairs of different subjects, with its jackknife interval.

    Vectors of one subject depend on each other, so pairs of one subject are left out of all three
    sums: the estimate is unbiased, and 0 for a set against itself. The interval is that of the mean
    of the jackknife's pseudo-values, one subject left out at a time; a bootstrap would compare a
    subject with its own copy. Memory holds the kernel of one subject with all.

    Args:
        first: (N, D).
        second: (M, D).
        kernel: Between any two sets.
        subjects: Subject number of each vector, (N,) and (M,), the same in both sets.

    Source: Gretton et al. 2012, JMLR 13, eq. 3, by blocks of subjects; Arvesen 1969, Ann. Math.
    Statist. 40(6) (jackknife of U-statistics).
    """
    a, b = first.astype(np.float64), second.astype(np.float64)
    people, numbers = np.unique(np.concatenate(subjects), return_inverse=True)
    one, two = numbers[: len(a)], numbers[len(a) :]
    count = len(people)
    within_a = _mean_kernel(a, a, kernel, (one, one), count)
    within_b = _mean_kernel(b, b, kernel, (two, two), count)
    between = _mean_kernel(a, b, kernel, (one, two), count)
    value, without = (x + y - 2 * z for x, y, z in zip(within_a, within_b, between, strict=True))
    if not np.isfinite(value):
        return Interval(None, None)
    if count < MIN_SUBJECTS or not np.isfinite(without).all():
        return Interval(float(value), None)
    low, high = mean_interval(count * value - (count - 1) * without)
    return Interval(float(value), (float(low), float(high)))


def _mean_kernel(
    x: np.ndarray,
    y: np.ndarray,
    kernel: Kernel,
    owners: tuple[np.ndarray, np.ndarray],
    count: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean kernel over pairs of different subjects, (), and without each one, (S,).

    The kernel between ``x`` (N, D) and ``y`` (M, D) is computed for one subject's rows at a time.
    A mean without pairs is NaN.
    """
    sizes = [np.bincount(owner, minlength=count) for owner in owners]
    sums, pairs = np.zeros((count, count)), np.outer(*sizes).astype(np.float64)
    for number in np.flatnonzero(sizes[0]):
        strip = kernel(x[owners[0] == number], y)
        sums[number] = np.bincount(owners[1], strip.sum(axis=0), count)
    for each in (sums, pairs):
        np.fill_diagonal(each, 0)
    total, total_pairs = sums.sum(), pairs.sum()
    rest, rest_pairs = (each.sum() - each.sum(axis=0) - each.sum(axis=1) for each in (sums, pairs))
    return _ratio(total, total_pairs), _ratio(rest, rest_pairs)


def _ratio(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Return total / count; NaN where the count is 0."""
    return np.where(count > 0, total, np.nan) / np.maximum(count, 1)


def _few(features: np.ndarray) -> np.ndarray:
    """Return the vectors (N, D), or a fixed choice of ``MEDIAN_VECTORS``."""
    if len(features) <= MEDIAN_VECTORS:
        return features
    chosen = np.random.default_rng(0).choice(len(features), MEDIAN_VECTORS, replace=False)
    return features[np.sort(chosen)]


def _squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    lengths = [np.einsum("ij,ij->i", features, features) for features in (a, b)]
    squares = lengths[0][:, None] + lengths[1] - 2 * a @ b.T
    return np.maximum(squares, 0)
