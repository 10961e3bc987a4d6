"""The interval of a mean: by hand, by simulated coverage, and where there is none."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from mrcontrast.metrics.intervals import mean_interval, summarise

Draw = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]
DISTRIBUTIONS: dict[str, tuple[Draw, float]] = {  # draws, and their mean
    "normal": (lambda rng, size: rng.standard_normal(size), 0.0),
    "log-normal": (lambda rng, size: rng.lognormal(0, 0.5, size), float(np.exp(0.125))),
    "log-normal, to the left": (lambda rng, s: -rng.lognormal(0, 0.5, s), -float(np.exp(0.125))),
    "PSNR, some bad scans": (
        lambda rng, size: 20 + rng.standard_normal(size) - rng.exponential(1.0, size),
        19.0,
    ),
}


@pytest.mark.parametrize("n", [5, 8, 16, 48])
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_the_interval_covers_the_mean_as_often_as_it_says(name: str, n: int) -> None:
    """Of 20000 simulated studies; the standard error of a coverage is 0.15 %."""
    draw, mean = DISTRIBUTIONS[name]
    low, high = mean_interval(draw(np.random.default_rng(n), (20_000, n)))
    assert 0.94 <= np.mean((low <= mean) & (mean <= high)) <= 0.975


def test_values_by_hand() -> None:
    """Symmetric values have no skewness: Student's t."""
    statistic = summarise(np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    assert (statistic.mean, statistic.n) == (3.0, 5)
    assert statistic.sd == pytest.approx(np.sqrt(2.5))
    reach = 2.776445 * np.sqrt(2.5 / 5)
    assert statistic.ci95 == pytest.approx((3 - reach, 3 + reach), rel=1e-4)


def test_skewed_values_reach_further_to_the_long_side() -> None:
    values = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 3.0])
    statistic = summarise(values)
    student = stats.t.interval(0.95, 5, values.mean(), stats.sem(values))
    assert statistic.ci95 is not None
    assert statistic.ci95[0] == pytest.approx(student[0])
    assert statistic.ci95[1] > student[1] + 0.1 * np.ptp(student)
    mirrored = summarise(-values).ci95
    assert mirrored == pytest.approx((-statistic.ci95[1], -statistic.ci95[0]))


def test_many_studies_at_once_are_each_as_alone() -> None:
    values = np.random.default_rng(0).lognormal(size=(4, 7))
    low, high = mean_interval(values)
    alone = [summarise(row).ci95 for row in values]
    np.testing.assert_allclose(np.stack([low, high], axis=1), np.array(alone))


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_few_subjects_have_no_interval(n: int) -> None:
    values = np.random.default_rng(n).random(n)
    statistic = summarise(values)
    assert (statistic.mean, statistic.ci95) == (pytest.approx(values.mean()), None)
    assert (statistic.sd is None) == (n == 1)


def test_equal_values_have_an_interval_of_no_width() -> None:
    assert summarise(np.full(6, 0.7)).ci95 == pytest.approx((0.7, 0.7))


def test_an_infinite_value_has_no_mean() -> None:
    statistic = summarise(np.array([20.0, np.inf, 3.0, 4.0, 5.0]))
    assert (statistic.mean, statistic.sd, statistic.ci95, statistic.n) == (None, None, None, 5)
