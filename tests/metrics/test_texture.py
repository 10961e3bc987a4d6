import numpy as np
import pytest
from scipy import ndimage
from scipy.stats import wasserstein_distance

from mrcontrast.metrics.texture import (
    gradient_magnitude,
    sorted_distance,
    through_plane_share,
)

SHAPE = (12, 15, 9)


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).random(SHAPE)


@pytest.fixture
def mask() -> np.ndarray:
    inside = np.zeros(SHAPE, bool)
    inside[1:10, 2:13, 1:8] = True
    return inside


def test_sorted_distance_agrees_with_scipy(image: np.ndarray, mask: np.ndarray) -> None:
    other = 0.7 * image**2 + 0.1
    expected = wasserstein_distance(other[mask], image[mask])
    assert sorted_distance(other[mask], image[mask]) == pytest.approx(expected, rel=1e-9)
    assert sorted_distance(image[mask] + 0.25, image[mask]) == pytest.approx(0.25)


def test_sorted_distance_does_not_see_order(image: np.ndarray, mask: np.ndarray) -> None:
    shuffled = image.copy()
    shuffled[mask] = np.random.default_rng(1).permutation(image[mask])
    assert sorted_distance(shuffled[mask], image[mask]) == 0


def test_gradient_of_a_ramp_is_its_slope_per_mm(mask: np.ndarray) -> None:
    x, y, _ = np.indices(SHAPE)
    ramp = 3.0 * x + 4.0 * y
    np.testing.assert_allclose(gradient_magnitude(ramp, mask, (1, 1, 5)), 5)
    np.testing.assert_allclose(gradient_magnitude(ramp, mask, (2, 2, 5)), 2.5)


def test_the_rim_of_the_mask_has_no_gradient(image: np.ndarray, mask: np.ndarray) -> None:
    inside = gradient_magnitude(image, mask, (1, 1, 1))
    np.testing.assert_array_equal(inside, gradient_magnitude(image * mask, mask, (1, 1, 1)))
    assert len(inside) == 7 * 9 * 5


def test_smoothing_takes_gradient_away(image: np.ndarray, mask: np.ndarray) -> None:
    sharp = gradient_magnitude(image, mask, (1, 1, 1))
    soft = gradient_magnitude(ndimage.gaussian_filter(image, 1), mask, (1, 1, 1))
    assert soft.mean() < 0.5 * sharp.mean()
    assert sorted_distance(soft, sharp) == pytest.approx(sharp.mean() - soft.mean(), rel=0.01)


def test_through_plane_by_hand(mask: np.ndarray) -> None:
    x, y, z = np.indices(SHAPE)
    image = 2.0 * x + 4.0 * y + 9.0 * z
    assert through_plane_share(image, mask, (1, 1, 1), axis=2) == pytest.approx(9 / 3)
    assert through_plane_share(image, mask, (1, 1, 3), axis=2) == pytest.approx(3 / 3)
    assert through_plane_share(image, mask, (1, 1, 1), axis=0) == pytest.approx(2 / 6.5)
    assert np.isnan(through_plane_share(np.ones(SHAPE), mask, (1, 1, 1), axis=2))


def test_flicker_raises_it_and_smoothing_across_lowers_it(
    image: np.ndarray, mask: np.ndarray
) -> None:
    def share(volume: np.ndarray) -> float:
        return through_plane_share(volume, mask, (1, 1, 1), axis=2)

    flicker = image + 0.5 * (np.arange(SHAPE[2]) % 2)
    assert share(flicker) > 1.3 * share(image)
    assert share(ndimage.gaussian_filter(image, (0, 0, 1))) < 0.8 * share(image)
