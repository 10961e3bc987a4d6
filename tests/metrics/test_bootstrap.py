import numpy as np
import pytest
from scipy.stats import bootstrap

from mrcontrast.metrics.bootstrap import RESAMPLES, resampled_means, summarise


def test_values_by_hand() -> None:
    statistic = summarise(np.array([1.0, 2.0, 6.0]))
    assert (statistic.mean, statistic.n) == (3.0, 3)
    assert statistic.sd == pytest.approx(np.sqrt(7))
    assert statistic.ci95 is not None
    assert 1.0 <= statistic.ci95[0] < 3.0 < statistic.ci95[1] <= 6.0


def test_interval_agrees_with_scipy() -> None:
    values = np.random.default_rng(3).gamma(2.0, size=40)
    theirs = bootstrap(
        (values,), np.mean, n_resamples=RESAMPLES, method="percentile", rng=1
    ).confidence_interval
    assert summarise(values).ci95 == pytest.approx((theirs.low, theirs.high), abs=0.03)


def test_interval_covers_the_mean_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    intervals = [summarise(rng.standard_normal(60)).ci95 for _ in range(60)]
    covered = sum(low < 0 < high for low, high in intervals)
    assert 51 <= covered <= 60


def test_same_seed_same_interval_and_another_seed_another() -> None:
    values = np.random.default_rng(0).random(9)
    assert summarise(values, seed=4) == summarise(values, seed=4)
    assert summarise(values, seed=4).ci95 != summarise(values, seed=5).ci95


def test_methods_are_resampled_in_pairs() -> None:
    values = np.random.default_rng(0).random(9)
    np.testing.assert_allclose(resampled_means(values + 2, 0), resampled_means(values, 0) + 2)


def test_one_subject_has_no_spread() -> None:
    statistic = summarise(np.array([0.7]))
    assert (statistic.mean, statistic.sd, statistic.ci95, statistic.n) == (0.7, None, None, 1)


def test_an_infinite_value_has_no_mean() -> None:
    statistic = summarise(np.array([20.0, np.inf]))
    assert (statistic.mean, statistic.sd, statistic.ci95, statistic.n) == (None, None, None, 2)
