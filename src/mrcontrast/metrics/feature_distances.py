"""Distances between two sets of feature vectors, in float64: Frechet, kernel and MMD.

A set is (N, D). Vectors of one subject depend on each other, so intervals leave out whole subjects.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats

from mrcontrast.errors import MrcontrastError

MEDIAN_VECTORS = 2000  # of each set, for the width of the Gaussian kernel

Kernel = Callable[[np.ndarray, np.ndarray], np.ndarray]


def frechet_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Return the Frechet distance of two sets of features, each taken for a normal distribution.

    Args:
        first: (N, D), N > D.
        second: (M, D), M > D.

    Raises:
        MrcontrastError: A set has no more vectors than dimensions: its covariance is singular, and
            the distance falls with N whatever the images are.

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
    root = _root(one)
    cross = np.linalg.eigvalsh(root @ two @ root)
    trace = float(np.sqrt(np.maximum(cross, 0)).sum())
    change = means[0] - means[1]
    return float(change @ change + np.trace(one) + np.trace(two) - 2 * trace)


def kernel_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Return the squared MMD with the cubic kernel (x y / D + 1)^3, unbiased: KID over all vectors.

    Args:
        first: (N, D), N >= 2.
        second: (M, D), M >= 2.

    Source: Binkowski et al. 2018, arXiv 1801.01401, section 4; without its subsets.
    """
    return _distance(first, second, cubic_kernel)


def gaussian_mmd(first: np.ndarray, second: np.ndarray) -> float:
    """Return the squared MMD with a Gaussian kernel as wide as the median distance, unbiased.

    Args:
        first: (N, D), N >= 2.
        second: (M, D), M >= 2.

    Source: Gretton et al. 2012, JMLR 13, eq. 3 and section 8 (median).
    """
    return _distance(first, second, gaussian_kernel(first, second))


def cubic_kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the cubic kernel between vectors (N, D) and (M, D), as (N, M)."""
    return np.asarray((x @ y.T / x.shape[1] + 1) ** 3)


def gaussian_kernel(first: np.ndarray, second: np.ndarray) -> Kernel:
    """Return the Gaussian kernel whose width is the median squared distance of two sets.

    Equal vectors do not count. Of a set of more than ``MEDIAN_VECTORS`` the median is that of so
    many, drawn from a fixed seed.

    Args:
        first: (N, D).
        second: (M, D).
    """
    a, b = (_few(features.astype(np.float64)) for features in (first, second))
    pairs = ((a, a), (b, b), (a, b))
    every = np.concatenate([_squared_distances(x, y).ravel() for x, y in pairs])
    median = float(np.median(every[every > 1e-12 * every.max()])) if every.any() else 1.0
    return lambda x, y: np.exp(-_squared_distances(x, y) / (2 * median))


@dataclass(frozen=True)
class Interval:
    """A distance and its 95 % jackknife interval over subjects.

    Attributes:
        value: None for fewer than two vectors.
        ci95: None for fewer than two subjects, or where one holds all vectors but one.
    """

    value: float | None
    ci95: tuple[float, float] | None


def with_interval(
    first: np.ndarray, second: np.ndarray, kernel: Kernel, subjects: np.ndarray
) -> Interval:
    """Return the unbiased squared MMD with an interval from leaving out one subject at a time.

    No bootstrap: a subject drawn twice would be compared with its own copy. Memory holds the kernel
    of one subject with all, never that of all with all.

    Args:
        first: (N, D).
        second: (N, D), of the same subjects in the same order.
        kernel: Between any two sets.
        subjects: (N,) number of the subject of each vector, from 0 without gaps.

    Source: Arvesen 1969, Ann. Math. Statist. 40(6) (jackknife of U-statistics); with Student's t.
    """
    a, b = first.astype(np.float64), second.astype(np.float64)
    if len(a) < 2:
        return Interval(None, None)
    one, two, between = (_Sums.of(x, y, kernel, subjects) for x, y in ((a, a), (b, b), (a, b)))
    off_diagonals = one.off_diagonal + two.off_diagonal
    value = float(_unbiased(off_diagonals, between.total, np.asarray(len(a))))
    left = len(a) - np.bincount(subjects)  # vectors without each subject
    count = len(left)
    if count < 2 or left.min() < 2:
        return Interval(value, None)
    off_diagonals = one.off_diagonal_without + two.off_diagonal_without
    without = _unbiased(off_diagonals, between.total_without, left)
    error = math.sqrt((count - 1) / count * float(((without - without.mean()) ** 2).sum()))
    reach = float(stats.t.ppf(0.975, count - 1)) * error
    return Interval(value, (value - reach, value + reach))


@dataclass(frozen=True)
class _Sums:
    """Sums of a kernel (N, N) over the vectors of each of S subjects.

    Attributes:
        rows: Over the subject's rows, (S,).
        columns: Over its columns, (S,).
        blocks: Over what lies in both, (S,).
        own: Over its part of the diagonal, (S,).
    """

    rows: np.ndarray
    columns: np.ndarray
    blocks: np.ndarray
    own: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray, y: np.ndarray, kernel: Kernel, subjects: np.ndarray) -> "_Sums":
        """Sum the kernel between ``x`` and ``y``, (N, D) each, one subject's rows at a time."""
        rows, columns, blocks, own = np.zeros((4, int(subjects.max()) + 1))
        for number in range(len(rows)):
            of_subject = subjects == number
            strip = kernel(x[of_subject], y)  # (n, N)
            sums = np.bincount(subjects, strip.sum(axis=0), len(rows))
            rows[number], blocks[number] = sums.sum(), sums[number]
            own[number] = np.trace(strip[:, of_subject])
            columns += sums
        return cls(rows, columns, blocks, own)

    @property
    def total(self) -> np.ndarray:
        """Sum of the kernel, ()."""
        return np.asarray(self.rows.sum())

    @property
    def total_without(self) -> np.ndarray:
        """The same without the vectors of each subject, (S,)."""
        return self.total - self.rows - self.columns + self.blocks

    @property
    def off_diagonal(self) -> np.ndarray:
        """Sum of the kernel without its diagonal, ()."""
        return np.asarray(self.total - self.own.sum())

    @property
    def off_diagonal_without(self) -> np.ndarray:
        """The same without the vectors of each subject, (S,)."""
        return self.total_without - (self.own.sum() - self.own)


def _distance(first: np.ndarray, second: np.ndarray, kernel: Kernel) -> float:
    """Return the unbiased squared MMD of sets (N, D) and (M, D)."""
    a, b = first.astype(np.float64), second.astype(np.float64)
    own = [(kernel(x, x), len(x)) for x in (a, b)]
    within = sum((values.sum() - np.trace(values)) / (n * (n - 1)) for values, n in own)
    return float(within - 2 * kernel(a, b).mean())


def _unbiased(within: np.ndarray, between: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Return the unbiased estimate from sums off both diagonals and between sets of n vectors."""
    return within / (n * (n - 1)) - 2 * between / n**2


def _few(features: np.ndarray) -> np.ndarray:
    """Return the vectors (N, D), or ``MEDIAN_VECTORS`` of them, always the same."""
    if len(features) <= MEDIAN_VECTORS:
        return features
    chosen = np.random.default_rng(0).choice(len(features), MEDIAN_VECTORS, replace=False)
    return features[np.sort(chosen)]


def _squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    lengths = [np.einsum("ij,ij->i", features, features) for features in (a, b)]
    squares = lengths[0][:, None] + lengths[1] - 2 * a @ b.T
    return np.maximum(squares, 0)


def _root(matrix: np.ndarray) -> np.ndarray:
    """Return the symmetric root of a covariance."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
