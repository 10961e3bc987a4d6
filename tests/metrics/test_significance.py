import numpy as np
import pytest
from scipy import stats

from mrcontrast.metrics.significance import detectable_effect, holm, paired_test, smallest_p


def test_by_hand() -> None:
    """Differences 1, 2, 3, 4, -5: ranks sum to 10 above and 5 below."""
    zero = np.zeros(5)
    found = paired_test(np.array([1.0, 2, 3, 4, -5]), zero)
    assert found.n == 5
    assert found.rank_biserial == pytest.approx((10 - 5) / 15)
    assert found.cohens_dz == pytest.approx(1 / np.sqrt(50 / 4))
    assert found.p == pytest.approx(2 * 10 / 32)  # 10 of 32 sign patterns have a sum <= 5


def test_all_to_one_side_gives_the_least_p() -> None:
    for n in (5, 6, 9):
        found = paired_test(np.arange(1.0, n + 1), np.zeros(n))
        assert found.p == pytest.approx(smallest_p(n))
        assert found.rank_biserial == 1
        back = paired_test(np.zeros(n), np.arange(1.0, n + 1))
        assert (back.p, back.rank_biserial) == (found.p, -1)


def test_agrees_with_scipy_on_many_subjects() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(0.2, 1, 40), rng.normal(0, 1, 40)
    assert paired_test(first, second).p == stats.wilcoxon(first, second).pvalue


def test_methods_that_are_the_same_do_not_differ() -> None:
    values = np.random.default_rng(0).random(7)
    found = paired_test(values, values)
    assert (found.p, found.rank_biserial, found.cohens_dz) == (1.0, 0.0, None)
    shifted = paired_test(np.full(7, 2.0), np.full(7, 1.5))
    assert (shifted.rank_biserial, shifted.cohens_dz) == (1.0, None)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.02, 0.03, 0.005]) == pytest.approx([0.03, 0.04, 0.04, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_keeps_the_family_wise_error() -> None:
    """Where nothing differs, hardly one family in twenty has a find."""
    rng = np.random.default_rng(1)
    finds = 0
    for _ in range(200):
        samples = rng.standard_normal((4, 9))
        p = [paired_test(sample, np.zeros(9)).p for sample in samples]
        finds += min(holm(p)) < 0.05
    assert finds / 200 < 0.08


def test_the_detectable_effect_is_found_as_often_as_said() -> None:
    n = 14
    effect = detectable_effect(n)
    assert detectable_effect(40) < effect < detectable_effect(6)
    samples = np.random.default_rng(2).normal(effect, 1, (400, n))
    found = np.mean([paired_test(sample, np.zeros(n)).p < 0.05 for sample in samples])
    assert 0.73 < found < 0.87
