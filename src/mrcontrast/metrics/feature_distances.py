"""Distances between two sets of feature vectors, in float64: Frechet, kernel and MMD.

A set is (N, D). Vectors of one subject depend on each other, so intervals leave out whole subjects.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from mrcontrast.errors import MrcontrastError


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
    return _unbiased(*polynomial_kernels(first, second))


def gaussian_mmd(first: np.ndarray, second: np.ndarray) -> float:
    """Return the squared MMD with a Gaussian kernel as wide as the median distance, unbiased.

    Args:
        first: (N, D), N >= 2.
        second: (M, D), M >= 2.

    Source: Gretton et al. 2012, JMLR 13, eq. 3 and section 8 (median).
    """
    return _unbiased(*gaussian_kernels(first, second))


Kernels = tuple[np.ndarray, np.ndarray, np.ndarray]


def polynomial_kernels(first: np.ndarray, second: np.ndarray) -> Kernels:
    """Return the cubic kernel within the first set, within the second, and between them."""
    a, b = first.astype(np.float64), second.astype(np.float64)

    def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.asarray((x @ y.T / a.shape[1] + 1) ** 3)

    return kernel(a, a), kernel(b, b), kernel(a, b)


def gaussian_kernels(first: np.ndarray, second: np.ndarray) -> Kernels:
    """Return the Gaussian kernel within the first set, within the second, and between them."""
    a, b = first.astype(np.float64), second.astype(np.float64)
    squares = _squared_distances(a, a), _squared_distances(b, b), _squared_distances(a, b)
    every = np.concatenate([square.ravel() for square in squares])
    median = float(np.median(every[every > 1e-12 * every.max()])) if every.any() else 1.0
    within_a, within_b, between = (np.exp(-square / (2 * median)) for square in squares)
    return within_a, within_b, between


@dataclass(frozen=True)
class Interval:
    """A distance and its 95 % jackknife interval over subjects; None for fewer than two."""

    value: float
    ci95: tuple[float, float] | None


def with_interval(kernels: Kernels, subjects: np.ndarray) -> Interval:
    """Return the unbiased squared MMD with an interval from leaving out one subject at a time.

    No bootstrap: a subject drawn twice would be compared with its own copy.

    Args:
        kernels: Within the first set, within the second, between them; (N, N) each, of the same
            subjects in the same order.
        subjects: (N,) number of the subject of each vector, from 0.

    Source: Arvesen 1969, Ann. Math. Statist. 40(6) (jackknife of U-statistics); with Student's t.
    """
    count = int(subjects.max()) + 1
    value = _unbiased(*kernels)
    if count < 2:
        return Interval(value, None)
    sums = [_block_sums(kernel, subjects, count) for kernel in kernels]
    own = [np.bincount(subjects, np.diag(kernel), count) for kernel in kernels[:2]]
    sizes = np.bincount(subjects, minlength=count)
    without = np.array(
        [_of_blocks(sums, own, sizes, np.arange(count) != left) for left in range(count)]
    )
    error = math.sqrt((count - 1) / count * float(((without - without.mean()) ** 2).sum()))
    reach = float(stats.t.ppf(0.975, count - 1)) * error
    return Interval(value, (value - reach, value + reach))


def _of_blocks(
    sums: list[np.ndarray], own: list[np.ndarray], sizes: np.ndarray, kept: np.ndarray
) -> float:
    """Return the unbiased estimate over the subjects that are kept, from sums over blocks."""
    n = int(sizes[kept].sum())
    blocks = [float(total[np.ix_(kept, kept)].sum()) for total in sums]
    within = sum(
        (block - float(diagonal[kept].sum())) / (n * (n - 1))
        for block, diagonal in zip(blocks[:2], own, strict=True)
    )
    return within - 2 * blocks[2] / n**2


def _unbiased(first: np.ndarray, second: np.ndarray, between: np.ndarray) -> float:
    """Return the unbiased estimate from kernels (N, N), (M, M) and (N, M)."""
    within = sum(
        (kernel.sum() - np.trace(kernel)) / (len(kernel) * (len(kernel) - 1))
        for kernel in (first, second)
    )
    return float(within - 2 * between.mean())


def _block_sums(kernel: np.ndarray, subjects: np.ndarray, count: int) -> np.ndarray:
    """Sum a kernel (N, N) over the vectors of each pair of subjects, (count, count)."""
    member = np.eye(count)[subjects]
    return member.T @ kernel @ member


def _squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    return np.maximum(squares, 0)


def _root(matrix: np.ndarray) -> np.ndarray:
    """Return the symmetric root of a covariance."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
