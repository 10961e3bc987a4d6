"""Distances of feature sets against torchmetrics on the same features, and by hand."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import maximum_mean_discrepancy, poly_mmd

from mrcontrast.errors import MrcontrastError
from mrcontrast.metrics.feature_distances import (
    frechet_distance,
    gaussian_kernels,
    gaussian_mmd,
    kernel_distance,
    polynomial_kernels,
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
    a, b, between = (torch.from_numpy(kernel) for kernel in polynomial_kernels(first, second))
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
    within_a, within_b, between = gaussian_kernels(first, second)
    squares = np.array([1, 1, 1, 1, 4, 9, 1, 4])  # both triangles of each set, and all between
    width = 2 * np.median(squares)
    np.testing.assert_allclose(within_a, within_b)
    np.testing.assert_allclose(between, np.exp(-np.array([[4, 9], [1, 4]]) / width))
    expected = 2 * np.exp(-1 / width) - 2 * between.mean()
    assert gaussian_mmd(first, second) == pytest.approx(expected)


def test_the_interval_leaves_out_whole_subjects(features: tuple[np.ndarray, np.ndarray]) -> None:
    first, second = features[0][:45], features[1]
    subjects = np.repeat(np.arange(5), 9)
    found = with_interval(polynomial_kernels(first, second), subjects)
    assert found.value == pytest.approx(kernel_distance(first, second))
    without = [
        kernel_distance(first[subjects != left], second[subjects != left]) for left in range(5)
    ]
    assert found.ci95 is not None
    reach = 2.7764 * np.sqrt(4 / 5 * 5 * np.var(without))
    assert found.ci95 == pytest.approx((found.value - reach, found.value + reach), rel=1e-3)
    alone = with_interval(polynomial_kernels(first, second), np.zeros(45, int))
    assert alone.ci95 is None
