"""Residuals of several ControlNets add up, each with its scale and its part of the draw."""

from copy import deepcopy

import pytest
import torch
from tests.stages.conftest import make_batch, make_controlnet, make_regressor, pixels, regressed

from mrcontrast.inference.controls import same_weights
from mrcontrast.stages.added_control import AddedControl, of_sources
from mrcontrast.stages.latent_stage import network_time

SHAPE = (20, 24)


def loud(stage, seed):
    """Let a ControlNet speak as a trained one does."""
    torch.manual_seed(seed)
    for name, value in stage.controlnet.named_parameters():
        if "controlnet" in name or "conv_out" in name:
            torch.nn.init.normal_(value, std=0.1)
    return stage.eval()


def of_flair():
    return loud(make_controlnet(2, pixels()), 1)


def of_t2w():
    return loud(make_controlnet(2, pixels(), source=("t2w",)), 2)


def added(stage, other, *how):
    stage.controls.append(AddedControl(other.controlnet, other.condition, other.source, *how))
    return stage


@pytest.fixture
def both():
    flair, t2w = make_batch(SHAPE)["source"].split(1)
    return {"source": torch.cat([flair, t2w], dim=1)}


def noise_of(stage):
    torch.manual_seed(3)
    return torch.randn(1, *stage.noise_shape(SHAPE))


def test_the_residuals_are_added_times_their_scale(both):
    stage, other = of_flair(), of_t2w()
    alone, theirs = deepcopy(stage), other.controlnet
    added(stage, other, 0.5)
    assert stage.inputs == ("flair", "t2w")
    z, t = noise_of(stage), torch.tensor([0.7])
    with stage.sampling(stage.prepare(both)) as predict:
        found = predict(z, t)
    conditions = [
        part.condition(of_sources(both, ("flair", "t2w"), part.source), part.codec)
        for part in (alone, other)
    ]
    time = network_time(t)
    down, middle = alone.controlnet(z, time, conditions[0])
    more, centre = theirs(z, time, conditions[1])
    summed = tuple(a + 0.5 * b for a, b in zip(down, more, strict=True))
    expected = stage.denoiser(
        z,
        time,
        down_block_additional_residuals=summed,
        mid_block_additional_residual=middle + 0.5 * centre,
    )
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_a_scale_of_zero_changes_no_bit(both):
    stage, alone = added(of_flair(), of_t2w(), 0.0), of_flair()
    own = {"source": both["source"][:, :1]}
    assert torch.equal(stage(both, noise_of(stage)), alone(own, noise_of(stage)))
    loud_one = added(of_flair(), of_t2w(), 1.0)
    assert not torch.equal(loud_one(both, noise_of(stage)), alone(own, noise_of(stage)))


@pytest.mark.parametrize(
    ("how", "acting"), [((1.0,), 4), ((1.0, 0.0, 0.5), 2), ((1.0, 0.75, 1.0), 1), ((0.0,), 0)]
)
def test_it_acts_in_its_part_of_the_draw_and_its_calls_count(both, how, acting):
    stage = added(of_flair(), of_t2w(), *how)
    stage.sampler.num_steps = 4
    stage.sampler.shift = 3.0
    seen = []
    handle = stage.controls[0].controlnet.register_forward_hook(lambda *_: seen.append(1))
    stage(both, noise_of(stage))
    handle.remove()
    assert len(seen) == acting
    assert stage.network_calls(samples=3) == 3 * (4 + acting)


def test_the_image_of_its_own_regression_counts_once(both):
    torch.manual_seed(0)
    condition = regressed(make_regressor(2, source=("t2w",)))
    other = loud(make_controlnet(2, condition, source=("t2w",)), 2)
    stage = added(of_flair(), other, 1.0)
    assert stage(both, noise_of(stage)).shape == (1, 1, *SHAPE)
    assert stage.network_calls(samples=1) == 2 * 2 + 1


@torch.no_grad()
def test_in_tiles_it_acts_too(both):
    found = []
    for scale in (0.0, 1.0):
        stage = added(of_flair(), of_t2w(), scale)
        stage.tiling.tile_voxels = 16
        with stage.sampling(stage.prepare(both)) as predict:
            found.append(predict(noise_of(stage), torch.tensor([0.7])))
    assert found[0].shape == found[1].shape == noise_of(stage).shape
    assert not torch.equal(*found)


def test_the_same_diffusion_model_is_known_by_its_tensors():
    one, other = of_flair(), of_t2w()
    assert all(same_weights(getattr(one, n), getattr(other, n)) for n in ("codec", "denoiser"))
    next(other.denoiser.parameters()).data.add_(1e-3)
    assert not same_weights(one.denoiser, other.denoiser)
    assert not same_weights(one.denoiser, None)
