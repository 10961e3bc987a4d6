from collections.abc import Callable

import numpy as np
import pytest
import torch
from tests.metrics.conftest import ms_ssim
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

from mrcontrast.errors import MrcontrastError
from mrcontrast.metrics.multiscale import (
    SCALE_WEIGHTS,
    SimilarityPyramid,
    count_scales,
    halve,
    scale_weights,
)

MakePair = Callable[..., tuple[np.ndarray, np.ndarray]]

SHAPES = [(181, 190), (97, 52), (24, 37, 29)]
DEEP = (46, 44, 51)  # three scales in 3D, where the reference's dense kernel takes its time


@pytest.mark.parametrize("smoothness", [0.0, 3.0])
@pytest.mark.parametrize("shape", [*SHAPES, pytest.param(DEEP, marks=pytest.mark.slow)])
def test_whole_image_agrees_with_torchmetrics(
    shape: tuple[int, ...], smoothness: float, make_pair: MakePair
) -> None:
    prediction, target = make_pair(shape, smoothness)
    weights = scale_weights(count_scales(shape))
    expected = multiscale_structural_similarity_index_measure(
        torch.from_numpy(prediction)[None, None],
        torch.from_numpy(target)[None, None],
        data_range=1.0,
        betas=weights,
    )
    assert ms_ssim(prediction, target, 1.0) == pytest.approx(expected.item(), abs=1e-5)
    assert len(weights) > 1


@pytest.mark.parametrize(
    ("shape", "scales"), [((176, 176), 5), ((175, 300), 4), ((44, 90, 60), 3), ((11, 200), 1)]
)
def test_as_many_scales_as_hold_the_window(shape: tuple[int, ...], scales: int) -> None:
    assert count_scales(shape) == scales
    assert sum(scale_weights(scales)) == pytest.approx(1.0, abs=1e-3)


def test_five_scales_have_the_published_weights() -> None:
    assert scale_weights(5) == SCALE_WEIGHTS


@pytest.mark.parametrize("shape", SHAPES)
def test_an_image_with_itself_is_one(shape: tuple[int, ...], make_pair: MakePair) -> None:
    _, target = make_pair(shape)
    mask = np.random.default_rng(0).random(shape) > 0.7
    assert ms_ssim(target, target, 1.0) == pytest.approx(1.0, abs=1e-12)
    assert ms_ssim(target, target, 1.0, mask) == pytest.approx(1.0, abs=1e-12)


def test_one_scale_is_ssim(make_pair: MakePair) -> None:
    pyramid = SimilarityPyramid(*make_pair(SHAPES[2], 3.0), 1.0, num_scales=1)
    mask = np.random.default_rng(0).random(SHAPES[2]) > 0.7
    assert pyramid.ms_ssim(mask) == pytest.approx(pyramid.ssim(mask), abs=1e-12)


def test_masked_value_is_the_product_of_weighted_means(make_pair: MakePair) -> None:
    prediction, target = make_pair(SHAPES[2])
    mask = np.zeros(SHAPES[2], bool)
    mask[5:18, 7:28, 6:21] = True  # odd sides: the halved mask has voxels filled in part
    first, last = SimilarityPyramid(prediction, target, 1.0, 2).scales
    share = halve(mask.astype(float))
    assert set(np.unique(share)) > {0.0, 1.0}
    exponents = scale_weights(2)
    fine = first.contrast[mask].mean() ** exponents[0]
    coarse = ((last.ssim * share).sum() / share.sum()) ** exponents[1]
    assert ms_ssim(prediction, target, 1.0, mask) == pytest.approx(fine * coarse, abs=1e-12)


def test_voxels_far_from_the_mask_do_not_count(make_pair: MakePair) -> None:
    prediction, target = make_pair((24, 25, 80))
    mask = np.zeros((24, 25, 80), bool)
    mask[:, :, :20] = True
    changed = prediction.copy()
    changed[:, :, 20 + 2 * 5 + 2 :] = 9.0
    value = ms_ssim(prediction, target, 1.0, mask)
    assert ms_ssim(changed, target, 1.0, mask) == pytest.approx(value, abs=1e-12)
    assert ms_ssim(changed, target, 1.0) < ms_ssim(prediction, target, 1.0) - 0.01


def test_negative_means_count_as_zero(make_pair: MakePair) -> None:
    _, target = make_pair(SHAPES[2])
    assert ms_ssim(1 - target, target, 1.0) == 0


def test_too_many_scales_are_refused(make_pair: MakePair) -> None:
    with pytest.raises(MrcontrastError, match=r"Expected 1 to 2 scales .* got 3"):
        ms_ssim(*make_pair(SHAPES[2]), 1.0, num_scales=3)
