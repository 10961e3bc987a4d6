"""Distances of feature sets against torchmetrics on the same features, and by hand."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import maximum_mean_discrepancy, poly_mmd

from mrcontrast.errors import MrcontrastError
from mrcontrast.metrics.feature_distances import (
    Kernel,
    cubic_kernel,
    frechet_distance,
    gaussian_kernel,
    with_interval,
)
from mrcontrast.metrics.intervals import mean_interval

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


def kernel_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Return KID of vectors that are all independent."""
    owners = np.arange(len(first)), len(first) + np.arange(len(second))
    value = with_interval(first, second, cubic_kernel, owners).value
    assert value is not None
    return value


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
    assert kernel_distance(first, second + 0.5) > 0.3
    owners = np.arange(300), np.arange(300)
    for shift, least, most in ((0.0, -0.005, 0.005), (0.5, 0.03, 1.0)):
        kernel = gaussian_kernel(first, second + shift)
        value = with_interval(first, second + shift, kernel, owners).value
        assert value is not None
        assert least < value < most


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
    owners = np.array([0, 1]), np.array([2, 3])
    assert with_interval(first, second, kernel, owners).value == pytest.approx(expected)


def by_hand(
    first: np.ndarray, second: np.ndarray, kernel: Kernel, owners: tuple[np.ndarray, np.ndarray]
) -> float:
    """Return the mean kernel over pairs of different subjects, from kernels of all with all."""

    def mean(x: np.ndarray, y: np.ndarray, of_x: np.ndarray, of_y: np.ndarray) -> float:
        return float(kernel(x, y)[of_x[:, None] != of_y].mean())

    one, two = owners
    between = mean(first, second, one, two)
    return mean(first, first, one, one) + mean(second, second, two, two) - 2 * between


@pytest.mark.parametrize("name", ["cubic", "gaussian"])
@pytest.mark.parametrize("shared", [True, False])
def test_pairs_of_one_subject_are_left_out_of_all_three_sums(
    features: tuple[np.ndarray, np.ndarray], name: str, shared: bool
) -> None:
    first, second = features
    kernel = cubic_kernel if name == "cubic" else gaussian_kernel(first, second)
    rng = np.random.default_rng(1)
    one = rng.permutation(np.repeat(np.arange(6), [3, 12, 1, 9, 20, 15]))
    two = rng.permutation(np.repeat(np.arange(6), [10, 2, 3, 9, 11, 10])) + (0 if shared else 6)
    found = with_interval(first, second, kernel, (one, two))
    expected = by_hand(first, second, kernel, (one, two))
    assert found.value == pytest.approx(expected, rel=1e-9, abs=1e-12)
    people = np.unique(np.concatenate([one, two]))
    without = [
        by_hand(
            first[one != left], second[two != left], kernel, (one[one != left], two[two != left])
        )
        for left in people
    ]
    count = len(people)
    low, high = mean_interval(count * expected - (count - 1) * np.array(without))
    assert found.ci95 == pytest.approx((low, high), rel=1e-6, abs=1e-9)


def of_people(rng: np.random.Generator, people: int, images: int = 1) -> list[np.ndarray]:
    """Draw images of the same people: 6 slices each, which are alike; (people * 6, DIM)."""
    person = rng.standard_normal((people, 1, DIM))
    shape = (people, 6, DIM)
    return [
        (person + 0.6 * rng.standard_normal(shape)).reshape(-1, DIM) + 0.5 for _ in range(images)
    ]


def test_real_against_itself_is_zero() -> None:
    (real,) = of_people(np.random.default_rng(0), 8)
    owner = np.repeat(np.arange(8), 6)
    found = with_interval(real, real.copy(), cubic_kernel, (owner, owner))
    assert found.value == pytest.approx(0, abs=1e-12)
    assert found.ci95 == pytest.approx((0, 0), abs=1e-9)
    paired = kernel_distance(real, real.copy())  # takes slices of one person for independent
    assert paired < -0.05


@pytest.mark.parametrize(
    ("kind", "people"), [("same people", 5), ("same people", 8), ("halves", 8)]
)
def test_images_of_one_distribution_are_at_zero_within_the_interval(kind: str, people: int) -> None:
    """Null simulation of 300 studies: no bias, and an interval that covers 0."""
    rng = np.random.default_rng(people)
    owner = np.repeat(np.arange(people), 6)
    values, covered = [], 0
    for _ in range(300):
        if kind == "same people":
            first, second = of_people(rng, people, images=2)
            owners = owner, owner
        else:
            first, second = of_people(rng, people // 2)[0], of_people(rng, people // 2)[0]
            owners = owner[: len(first)], owner[len(first) :]
        found = with_interval(first, second, cubic_kernel, owners)
        assert found.value is not None
        assert found.ci95 is not None
        values.append(found.value)
        covered += found.ci95[0] <= 0 <= found.ci95[1]
    error = np.std(values) / np.sqrt(len(values))
    assert abs(np.mean(values)) < 3 * error
    assert covered / len(values) >= 0.94


def test_another_distribution_is_not_at_zero() -> None:
    first, second = of_people(np.random.default_rng(2), 8, images=2)
    owner = np.repeat(np.arange(8), 6)
    found = with_interval(first, second + 0.5, cubic_kernel, (owner, owner))
    assert found.ci95 is not None
    assert found.ci95[0] > 0.3


def test_no_kernel_of_all_with_all_is_made() -> None:
    """Memory grows with the number of subjects, not with its square."""
    largest = 0

    def watched(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        nonlocal largest
        largest = max(largest, len(x) * len(y))
        return cubic_kernel(x, y)

    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((2, 400, 3))
    owner = np.repeat(np.arange(100), 4)
    with_interval(first, second, watched, (owner, owner))
    assert largest == 4 * 400


def test_the_width_of_many_vectors_is_that_of_some(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((2, 600, DIM))
    exact = gaussian_kernel(first, second)(first[:1], second[:1]).item()
    monkeypatch.setattr("mrcontrast.metrics.feature_distances.MEDIAN_VECTORS", 300)
    some = [gaussian_kernel(first, second)(first[:1], second[:1]).item() for _ in range(2)]
    assert some[0] == some[1] != exact
    assert some[0] == pytest.approx(exact, rel=0.02)


def test_too_few_subjects_have_no_distance_or_no_interval() -> None:
    """A 3D network gives one vector a session."""
    first, second = np.random.default_rng(0).standard_normal((2, 5, DIM))
    one, four, five = (
        with_interval(first[:n], second[:n], cubic_kernel, (np.arange(n), np.arange(n)))
        for n in (1, 4, 5)
    )
    assert (one.value, one.ci95) == (None, None)
    assert four.value is not None
    assert four.ci95 is None
    assert five.ci95 is not None
    owner = np.repeat([0, 1], 5)
    halves = with_interval(first, second, cubic_kernel, (owner[:5], owner[5:]))
    assert (halves.value, halves.ci95) == (None, None)  # one subject in each set
