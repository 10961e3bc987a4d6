"""Stacks of slices against scikit-image, torchmetrics and our own slower code."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity
from tests.metrics.conftest import ms_ssim
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

from mrcontrast.errors import MrcontrastError
from mrcontrast.metrics.multiscale import scale_weights, slice_pyramids
from mrcontrast.metrics.stacks import stack_maps
from mrcontrast.metrics.structural import similarity_maps
from mrcontrast.phantom import PhantomSubject

MakePair = Callable[..., tuple[np.ndarray, np.ndarray]]

SHAPE = (5, 41, 67)
WANG = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}


@pytest.mark.parametrize("smoothness", [0.0, 2.0])
@pytest.mark.parametrize(("low", "width"), [(0.0, 1.0), (-1.0, 2.0), (500.0, 4000.0)])
def test_stacks_agree_with_a_loop_of_scikit_image(
    smoothness: float, low: float, width: float, make_pair: MakePair
) -> None:
    prediction, target = (
        (low + width * image).astype(np.float32) for image in make_pair(SHAPE, smoothness)
    )
    check_against_scikit_image(prediction, target, width)


def test_stacks_agree_on_phantoms(phantoms: list[PhantomSubject]) -> None:
    target, other = (
        np.moveaxis(s.images["t1w"].data[:56], 2, 0) / np.float32(60) for s in phantoms
    )
    check_against_scikit_image(0.7 * target + 0.3 * other, target, 1.0)


def check_against_scikit_image(prediction: np.ndarray, target: np.ndarray, width: float) -> None:
    found = [p.ssim() for p in slice_pyramids(prediction, target, width, num_scales=1)]
    expected = [
        structural_similarity(b.astype(float), a.astype(float), data_range=width, **WANG)
        for a, b in zip(prediction, target, strict=True)
    ]
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("border", ["reflect", "mirror"])
def test_maps_agree_with_those_of_single_slices(border: str, make_pair: MakePair) -> None:
    prediction, target = make_pair(SHAPE, 2.0)
    maps = stack_maps(prediction, target, 1.0, border)
    for k in range(SHAPE[0]):
        slow = similarity_maps(prediction[k], target[k], 1.0, border)
        np.testing.assert_allclose(maps.ssim[k], slow.ssim, atol=2e-5)
        np.testing.assert_allclose(maps.contrast[k], slow.contrast, atol=2e-5)


@pytest.mark.parametrize("smoothness", [0.0, 3.0])
def test_ms_ssim_of_slices_agrees_with_torchmetrics(smoothness: float, make_pair: MakePair) -> None:
    prediction, target = make_pair((3, 97, 52), smoothness)
    pyramids = slice_pyramids(prediction, target, 1.0, num_scales=3)
    mask = np.random.default_rng(0).random((97, 52)) > 0.6
    for k in range(3):
        theirs = multiscale_structural_similarity_index_measure(
            torch.from_numpy(prediction[k])[None, None],
            torch.from_numpy(target[k])[None, None],
            data_range=1.0,
            betas=scale_weights(3),
        )
        assert pyramids[k].ms_ssim(None) == pytest.approx(theirs.item(), abs=1e-5)
        masked = ms_ssim(prediction[k], target[k], 1.0, mask, num_scales=3)
        assert pyramids[k].ms_ssim(mask) == pytest.approx(masked, abs=1e-5)


def test_equal_slices_and_small_ones(make_pair: MakePair) -> None:
    _, target = make_pair(SHAPE)
    np.testing.assert_allclose(stack_maps(target, target, 1.0).ssim, 1, atol=1e-6)
    with pytest.raises(MrcontrastError, match="at least 11 voxels"):
        stack_maps(target[:, :10], target[:, :10], 1.0)
    with pytest.raises(MrcontrastError, match="target's shape"):
        stack_maps(target[:, 1:], target, 1.0)
