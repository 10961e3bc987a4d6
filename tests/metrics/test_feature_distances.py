"""Distances of feature sets against torchmetrics on the same features, and by hand."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import maximum_mean_discrepancy, poly_mmd

from mrcontrast.errors import MrcontrastError
from mrcontrast.metrics.feature_distances import (
    Kernel,
    cubic_kernel,
    frechet_distance,
    gaussian_kernel,
    gaussian_mmd,
    kernel_distance,
    with_interval,
)

DIM = 12


@pytest.fixture
def features() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    mix = rng.standard_normal((DIM, DIM))
    first = rng.standard_normal((60, DIM)) @ mix
    return first, 1.3 * rng.standard_normal((45, DIM)) @ mix + 0.4


class AsTheyAre(nn.Module):
    """Takes features (N, 1, 1, DIM) for images and gives them back."""

    num_features = DIM

    def forward(self, image: Tensor) -> Tensor:
        return image.flatten(1)


def test_frechet_agrees_with_torchmetrics(features: tuple[np.ndarray, np.ndarray]) -> None:
    theirs = FrechetInceptionDistance(feature=AsTheyAre(), normalize=True)
    theirs.set_dtype(torch.float64)
    theirs.inception = AsTheyAre()
    for values, real in zip(features, (True, False), strict=True):
        theirs.update(torch.from_numpy(values)[:, None, None], real=real)
    expected = float(theirs.compute())
    assert frechet_distance(*features) == pytest.approx(expected, rel=1e-5)


def test_frechet_of_normal_distributions_by_hand() -> None:
    """Samples with exact means and variances: (2 - 0)^2 + (3 - 1)^2 a dimension."""
    first = np.array([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])
    second = 3 * first + np.array([2.0, 0])
    scale = 4 / 3  # np.cov divides by n - 1
    assert frechet_distance(first, second) == pytest.approx(4 + 2 * scale * (3 - 1) ** 2)
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-12)


def test_frechet_of_too_few_is_refused(features: tuple[np.ndarray, np.ndarray]) -> None:
    with pytest.raises(MrcontrastError, match=r"more feature vectors than their 12 .* got 12"):
        frechet_distance(features[0], features[1][:DIM])


def test_kernel_distance_agrees_with_torchmetrics(
    features: tuple[np.ndarray, np.ndarray],
) -> None:
    first, second = features[0][:45], features[1]  # theirs wants sets of one size
    pairs = ((first, first), (second, second), (first, second))
    a, b, between = (torch.from_numpy(cubic_kernel(x, y)) for x, y in pairs)
    assert kernel_distance(first, second) == pytest.approx(
        float(maximum_mean_discrepancy(a, between, b)), rel=1e-9
    )
    expected = poly_mmd(torch.from_numpy(first), torch.from_numpy(second))
    assert kernel_distance(first, second) == pytest.approx(float(expected), rel=1e-5)


def test_distances_of_one_distribution_are_about_zero() -> None:
    rng = np.random.default_rng(3)
    first, second = rng.standard_normal((2, 300, DIM))
    assert kernel_distance(first, second) == pytest.approx(0, abs=0.05)
    assert gaussian_mmd(first, second) == pytest.approx(0, abs=0.005)
    assert kernel_distance(first, second + 0.5) > 0.3
    assert gaussian_mmd(first, second + 0.5) > 0.03


def test_gaussian_kernel_by_hand() -> None:
    """Squared distances are 1 within both sets, and 4, 9, 1 and 4 between them."""
    first, second = np.array([[0.0], [1]]), np.array([[2.0], [3]])
    kernel = gaussian_kernel(first, second)
    pairs = ((first, first), (second, second), (first, second))
    within_a, within_b, between = (kernel(x, y) for x, y in pairs)
    squares = np.array([1, 1, 1, 1, 4, 9, 1, 4])  # both triangles of each set, and all between
    width = 2 * np.median(squares)
    np.testing.assert_allclose(within_a, within_b)
    np.testing.assert_allclose(between, np.exp(-np.array([[4, 9], [1, 4]]) / width))
    expected = 2 * np.exp(-1 / width) - 2 * between.mean()
    assert gaussian_mmd(first, second) == pytest.approx(expected)


def test_the_interval_leaves_out_whole_subjects(features: tuple[np.ndarray, np.ndarray]) -> None:
    first, second = features[0][:45], features[1]
    subjects = np.repeat(np.arange(5), 9)
    found = with_interval(first, second, cubic_kernel, subjects)
    assert found.value == pytest.approx(kernel_distance(first, second))
    without = [
        kernel_distance(first[subjects != left], second[subjects != left]) for left in range(5)
    ]
    assert found.ci95 is not None
    reach = 2.7764 * np.sqrt(4 / 5 * 5 * np.var(without))
    assert found.ci95 == pytest.approx((found.value - reach, found.value + reach), rel=1e-3)
    alone = with_interval(first, second, cubic_kernel, np.zeros(45, int))
    assert (alone.value, alone.ci95) == (pytest.approx(found.value), None)


def whole_kernels(first: np.ndarray, second: np.ndarray, kernel: Kernel, kept: np.ndarray) -> float:
    """Return the unbiased estimate from kernels of all with all, of the vectors that are kept."""
    a, b = first[kept], second[kept]
    n = len(a)
    within = sum(kernel(x, x).sum() - np.trace(kernel(x, x)) for x in (a, b)) / (n * (n - 1))
    return float(within - 2 * kernel(a, b).mean())


@pytest.mark.parametrize("name", ["cubic", "gaussian"])
def test_sums_by_subject_give_what_whole_kernels_give(
    features: tuple[np.ndarray, np.ndarray], name: str
) -> None:
    first, second = features[0][:45], features[1]
    kernel = cubic_kernel if name == "cubic" else gaussian_kernel(first, second)
    subjects = np.random.default_rng(1).permutation(np.repeat(np.arange(6), [3, 12, 1, 9, 10, 10]))
    found = with_interval(first, second, kernel, subjects)
    expected = whole_kernels(first, second, kernel, subjects >= 0)
    assert found.value == pytest.approx(expected, rel=1e-9, abs=1e-12)
    without = [whole_kernels(first, second, kernel, subjects != left) for left in range(6)]
    reach = stats.t.ppf(0.975, 5) * np.sqrt(5 / 6 * 6 * np.var(without))
    assert found.ci95 == pytest.approx((expected - reach, expected + reach), rel=1e-9, abs=1e-12)


def test_no_kernel_of_all_with_all_is_made() -> None:
    """Memory grows with the number of subjects, not with its square."""
    largest = 0

    def watched(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        nonlocal largest
        largest = max(largest, len(x) * len(y))
        return cubic_kernel(x, y)

    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((2, 400, 3))
    with_interval(first, second, watched, np.repeat(np.arange(100), 4))
    assert largest == 4 * 400


def test_the_width_of_many_vectors_is_that_of_some(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((2, 600, DIM))
    exact = gaussian_kernel(first, second)(first[:1], second[:1]).item()
    monkeypatch.setattr("mrcontrast.metrics.feature_distances.MEDIAN_VECTORS", 300)
    some = [gaussian_kernel(first, second)(first[:1], second[:1]).item() for _ in range(2)]
    assert some[0] == some[1] != exact
    assert some[0] == pytest.approx(exact, rel=0.02)


def test_too_few_vectors_have_no_distance_or_no_interval() -> None:
    """A 3D network gives one vector a session."""
    first, second = np.random.default_rng(0).standard_normal((2, 3, DIM))
    one, two, three = (
        with_interval(first[:n], second[:n], cubic_kernel, np.arange(n)) for n in (1, 2, 3)
    )
    assert (one.value, one.ci95) == (None, None)
    assert two.value == pytest.approx(kernel_distance(first[:2], second[:2]))
    assert two.ci95 is None
    assert three.ci95 is not None
