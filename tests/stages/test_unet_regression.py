"""The regression: what it minimises, any size of image, slabs of slices."""

import pytest
import torch
from tests.stages.conftest import SHAPES, adam, make_batch, make_regressor, make_stage

from mrcontrast.losses.brain import brain_error
from mrcontrast.stages.unet_regression import UNetRegression


def test_sizes_that_do_not_divide_come_back_whole(dims):
    batch = make_batch(tuple(length - 1 for length in SHAPES[dims]))
    stage = make_stage("unet_regression", dims).eval()
    assert stage(batch).shape == batch["target"].shape
    assert stage.factor == 4


def test_padding_changes_no_voxel_far_from_it():
    stage = make_stage("unet_regression", 2).eval()
    flair = make_batch((40, 44))["source"]
    one_more = torch.nn.functional.pad(flair, [0, 0, 0, 4])
    torch.testing.assert_close(
        stage.regressor(flair[:, :, :37]), stage.regressor(one_more[:, :, :37])
    )


def test_the_loss_is_the_brain_error_before_clamping(dims, batch):
    stage = make_stage("unet_regression", dims)
    with torch.no_grad():
        raw = stage.regressor(batch["source"])
    expected = brain_error(raw, batch["target"], batch["brain_mask"])
    assert raw.min() < 0
    assert stage.loss(batch).item() == pytest.approx(expected.item())
    assert stage.eval()(batch).min() >= 0


def test_a_slab_comes_in_as_channels():
    stage = UNetRegression(make_regressor(2, slices=3), adam()).eval()
    slab = torch.rand(2, 3, 16, 20)
    assert stage.context_slices == 1
    image = stage({"source": slab})
    assert image.shape == (2, 1, 16, 20)
    neighbours = slab.clone()
    neighbours[:, 0] += 0.5
    assert not torch.equal(stage({"source": neighbours}), image)


def test_it_draws_nothing(dims):
    assert make_stage("unet_regression", dims).noise_shape(SHAPES[dims]) is None
    assert getattr(make_stage("unet_regression", dims), "sampler", None) is None
