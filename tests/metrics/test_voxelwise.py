import math
from collections.abc import Callable

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

from mrcontrast.errors import MrcontrastError
from mrcontrast.metrics.voxelwise import (
    mean_absolute_error,
    peak_signal_to_noise,
    root_mean_square_error,
    share_outside,
)

MakePair = Callable[..., tuple[np.ndarray, np.ndarray]]

TARGET = np.array([[0.0, 0.5], [1.0, 0.5]])
PREDICTION = np.array([[0.3, 0.1], [1.0, 0.5]])
MASK = np.array([[True, True], [False, False]])


def test_values_by_hand() -> None:
    assert mean_absolute_error(PREDICTION, TARGET) == pytest.approx(0.7 / 4)
    assert root_mean_square_error(PREDICTION, TARGET) == pytest.approx(0.25)
    assert peak_signal_to_noise(PREDICTION, TARGET, 2.5) == pytest.approx(20.0)


def test_values_by_hand_in_the_mask() -> None:
    assert mean_absolute_error(PREDICTION, TARGET, MASK) == pytest.approx(0.35)
    assert root_mean_square_error(PREDICTION, TARGET, MASK) == pytest.approx(math.sqrt(0.125))


def test_voxels_outside_the_mask_do_not_count() -> None:
    changed = np.where(MASK, PREDICTION, 1e6)
    for metric in (mean_absolute_error, root_mean_square_error):
        assert metric(changed, TARGET, MASK) == metric(PREDICTION, TARGET, MASK)
        assert metric(changed, TARGET) > 1e5


def test_equal_images() -> None:
    assert mean_absolute_error(TARGET, TARGET) == 0
    assert peak_signal_to_noise(TARGET, TARGET, 1.0) == math.inf


@pytest.mark.parametrize("shape", [(31, 44), (17, 23, 14)])
def test_psnr_agrees_with_scikit_image(shape: tuple[int, ...], make_pair: MakePair) -> None:
    prediction, target = make_pair(shape)
    expected = peak_signal_noise_ratio(target, prediction, data_range=1.3)
    assert peak_signal_to_noise(prediction, target, 1.3) == pytest.approx(expected, abs=1e-5)


def test_sums_run_in_float64() -> None:
    target = np.zeros(1_000_003, np.float32)
    prediction = target + np.float32(0.1)
    assert root_mean_square_error(prediction, target) == pytest.approx(
        float(np.float32(0.1)), 1e-12
    )


def test_unsigned_integers_do_not_wrap() -> None:
    low, high = np.array([[1]], np.uint8), np.array([[3]], np.uint8)
    assert mean_absolute_error(low, high) == 2


def test_share_outside_counts_both_sides() -> None:
    image = np.array([-0.1, 0.0, 1.0, 1.1])
    assert share_outside(image, 0, 1) == 0.5
    assert share_outside(image, 0, 1, np.array([True, True, True, False])) == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("prediction", "mask", "data_range", "message"),
    [
        (np.zeros((2, 3)), None, 1.0, r"shape \(2, 2\), got \(2, 3\)"),
        (PREDICTION, np.zeros((2, 2), bool), 1.0, "got an empty one"),
        (PREDICTION, np.ones((2, 3), bool), 1.0, "Expected a mask of the target's shape"),
        (PREDICTION, None, 0.0, "positive width, got 0.0"),
        (PREDICTION, None, math.nan, "positive width, got nan"),
    ],
)
def test_bad_input_is_named(
    prediction: np.ndarray, mask: np.ndarray | None, data_range: float, message: str
) -> None:
    with pytest.raises(MrcontrastError, match=message):
        peak_signal_to_noise(prediction, TARGET, data_range, mask)
