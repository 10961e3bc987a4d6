from collections.abc import Callable

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from mrcontrast.errors import MrcontrastError
from mrcontrast.metrics.structural import RADIUS, similarity_maps, ssim

MakePair = Callable[..., tuple[np.ndarray, np.ndarray]]

WANG = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
SHAPES = [(61, 47), (31, 26, 37)]


@pytest.mark.parametrize("smoothness", [0.0, 3.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_whole_image_and_map_agree_with_scikit_image(
    shape: tuple[int, ...], smoothness: float, make_pair: MakePair
) -> None:
    prediction, target = make_pair(shape, smoothness)
    mean, image = structural_similarity(target, prediction, data_range=1.2, full=True, **WANG)
    assert ssim(prediction, target, 1.2) == pytest.approx(mean, abs=1e-9)
    np.testing.assert_allclose(similarity_maps(prediction, target, 1.2).ssim, image, atol=1e-9)
    mask = np.random.default_rng(1).random(shape) > 0.5
    assert ssim(prediction, target, 1.2, mask) == pytest.approx(image[mask].mean(), abs=1e-9)


def test_float32_files_agree_with_scikit_image(make_pair: MakePair) -> None:
    prediction, target = (image.astype(np.float32) for image in make_pair(SHAPES[1], 3.0))
    expected = structural_similarity(target, prediction, data_range=1.0, **WANG)
    assert ssim(prediction, target, 1.0) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_constant_images_by_hand(shape: tuple[int, ...]) -> None:
    """Without structure only luminance is left: (2 x y + C1) / (x^2 + y^2 + C1)."""
    x, y, c1 = 0.25, 0.75, 0.01**2
    value = ssim(np.full(shape, x), np.full(shape, y), 1.0)
    assert value == pytest.approx((2 * x * y + c1) / (x**2 + y**2 + c1), rel=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_an_image_with_itself_is_one_and_its_inverse_is_less(
    shape: tuple[int, ...], make_pair: MakePair
) -> None:
    _, target = make_pair(shape)
    assert ssim(target, target, 1.0) == pytest.approx(1.0, abs=1e-12)
    assert ssim(1 - target, target, 1.0) < 0


def test_order_of_the_images_does_not_matter(make_pair: MakePair) -> None:
    prediction, target = make_pair(SHAPES[1])
    assert ssim(prediction, target, 1.0) == pytest.approx(ssim(target, prediction, 1.0), abs=1e-12)


def test_only_voxels_within_a_window_of_the_mask_count(make_pair: MakePair) -> None:
    prediction, target = make_pair(SHAPES[1])
    mask = np.zeros(SHAPES[1], bool)
    mask[10:14, 10:14, 10:14] = True
    near = np.zeros(SHAPES[1], bool)
    near[10 - RADIUS : 14 + RADIUS, 10 - RADIUS : 14 + RADIUS, 10 - RADIUS : 14 + RADIUS] = True
    far_changed, near_changed = np.where(near, prediction, 9.0), np.where(mask, prediction, 9.0)
    value = ssim(prediction, target, 1.0, mask)
    assert ssim(far_changed, target, 1.0, mask) == pytest.approx(value, abs=1e-12)
    assert ssim(near_changed, target, 1.0, mask) < value - 0.01


@pytest.mark.parametrize("shape", [(10, 40), (20, 20, 9), (50,)])
def test_too_small_an_image_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(MrcontrastError, match="at least 11 voxels for SSIM"):
        ssim(np.ones(shape), np.ones(shape), 1.0)


def test_an_empty_mask_is_refused(make_pair: MakePair) -> None:
    prediction, target = make_pair(SHAPES[0])
    with pytest.raises(MrcontrastError, match="empty"):
        ssim(prediction, target, 1.0, np.zeros(SHAPES[0], bool))
