import numpy as np
import pytest

from mrcontrast.metrics.lesions import lesion_contrast, surrounding_ring
from mrcontrast.metrics.overlap import dice, volume_change_percent, volume_ml

SHAPE = (21, 25, 17)


def ball(radius: float) -> np.ndarray:
    places = np.indices(SHAPE) - np.array([10, 12, 8]).reshape(3, 1, 1, 1)
    return (places**2).sum(axis=0) <= radius**2


def test_the_ring_lies_between_two_and_eight_millimetres() -> None:
    ring = surrounding_ring(ball(0), np.ones(SHAPE, bool), (1, 1, 1))
    np.testing.assert_array_equal(ring, ball(8) & ~ball(2))
    coarse = surrounding_ring(ball(0), np.ones(SHAPE, bool), (4, 4, 4))
    np.testing.assert_array_equal(coarse, ball(2) & ~ball(0.5))


def test_contrast_is_lesion_less_white_matter() -> None:
    lesion, white = ball(2), ball(8)
    white[:, :12] = False
    image = np.where(lesion, 0.5, np.where(white, 0.9, 0.1))
    ring = surrounding_ring(lesion, white & ~lesion, (1, 1, 1))
    assert lesion_contrast(image, lesion, ring) == pytest.approx(-0.4)
    erased = np.where(lesion, 0.9, image)
    assert lesion_contrast(erased, lesion, ring) == pytest.approx(0)


def test_without_lesion_or_ring_there_is_no_contrast() -> None:
    none = np.zeros(SHAPE, bool)
    assert not surrounding_ring(none, ball(8), (1, 1, 1)).any()
    assert np.isnan(lesion_contrast(np.ones(SHAPE), none, ball(8)))
    assert np.isnan(lesion_contrast(np.ones(SHAPE), ball(1), none))


def test_overlap_at_its_ends() -> None:
    none = np.zeros(SHAPE, bool)
    assert dice(none, none) == 1
    assert dice(ball(3), none) == 0
    assert dice(ball(3), ball(3)) == 1
    assert np.isnan(volume_change_percent(3.0, 0.0))
    assert volume_change_percent(90.0, 100.0) == -10
    assert volume_ml(np.ones((10, 10, 2), bool), (1.0, 1.0, 5.0)) == 1
