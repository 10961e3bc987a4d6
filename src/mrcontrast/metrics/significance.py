"""Paired tests between two methods over subjects: Wilcoxon, Holm, effect sizes, power."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from mrcontrast.errors import MrcontrastError

MIN_SUBJECTS = 5
ALPHA = 0.05
POWER = 0.8
WILCOXON_EFFICIENCY = 3 / math.pi  # against the t test, for normal differences


@dataclass(frozen=True)
class PairedTest:
    """Comparison of two methods over the same subjects.

    Attributes:
        n: Subjects.
        p: Two-sided p of the Wilcoxon signed-rank test; 1 if no subject differs.
        rank_biserial: Matched-pairs rank-biserial correlation, from -1 (first always lower) to 1.
        cohens_dz: Mean difference over its standard deviation; None if all differences are equal.
    """

    n: int
    p: float
    rank_biserial: float
    cohens_dz: float | None


def paired_test(first: np.ndarray, second: np.ndarray) -> PairedTest:
    """Test two methods for a difference, one value for each subject and method.

    Zero differences are dropped. Without ties p is exact up to 50 subjects.

    Args:
        first: (N,) values of one method, finite.
        second: (N,) values of the other, in the same order of subjects.

    Raises:
        MrcontrastError: Fewer than five subjects, unequal numbers, or a value is not finite.

    Source: Wilcoxon 1945, Biometrics Bulletin 1(6); Kerby 2014, Comprehensive Psychology 3, eq. 4
    (rank-biserial); Cohen 1988, section 2.3.5 (dz).
    """
    change = _differences(first, second)
    sd, ranks = float(change.std(ddof=1)), _signed_ranks(change)
    dz = None if sd <= 1e-12 * float(np.abs(change).max()) else float(change.mean()) / sd
    if not len(ranks):
        return PairedTest(len(change), 1.0, 0.0, None)
    p = float(stats.wilcoxon(change, zero_method="wilcox").pvalue)
    return PairedTest(len(change), p, float(ranks.sum() / np.abs(ranks).sum()), dz)


def holm(p_values: list[float]) -> list[float]:
    """Return p values corrected for a family of tests, in their order.

    Source: Holm 1979, Scandinavian Journal of Statistics 6(2).

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values)
    scaled = np.array(p_values)[order] * np.arange(len(p_values), 0, -1)
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return [float(p) for p in corrected]


def smallest_p(n: int) -> float:
    """Return the smallest two-sided p of n subjects: all differences have one sign, 2 / 2^n.

    Example:
        >>> smallest_p(5)
        0.0625
    """
    return 2.0 ** (1 - n)


def detectable_effect(n: int, alpha: float = ALPHA, power: float = POWER) -> float:
    """Return the smallest |Cohen's dz| that n subjects detect with the given power.

    Takes the t test's noncentral distribution at 3 n / pi subjects: the asymptotic relative
    efficiency of the Wilcoxon test for normal differences.

    Source: Lehmann 1975, Nonparametrics, chapter 4.3 (efficiency); Faul et al. 2007, G*Power 3.
    """
    effective = n * WILCOXON_EFFICIENCY
    freedom = effective - 1
    critical = stats.t.ppf(1 - alpha / 2, freedom)

    def shortfall(effect: float) -> float:
        return float(stats.nct.sf(critical, freedom, effect * math.sqrt(effective))) - power

    return float(optimize.brentq(shortfall, 0.0, 20.0))


def _differences(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return first - second, (N,) float64, of valid values."""
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if first.shape != second.shape or first.ndim != 1:
        raise MrcontrastError(
            f"Expected the same subjects of both methods, got {first.shape} and {second.shape}."
        )
    if len(first) < MIN_SUBJECTS:
        raise MrcontrastError(
            f"Expected at least {MIN_SUBJECTS} subjects for a paired test, got {len(first)}. "
            "Evaluate more subjects."
        )
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise MrcontrastError("Expected finite values, got infinite ones or NaN.")
    return first - second


def _signed_ranks(change: np.ndarray) -> np.ndarray:
    """Return the ranks of |differences| with their signs; zeros are left out."""
    change = change[change != 0]
    return np.sign(change) * stats.rankdata(np.abs(change))
