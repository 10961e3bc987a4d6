"""FLAIR beside the noisy latent: where the paths of the three methods begin and end."""

import pytest
import torch
from tests.stages.conftest import make_codec, make_regressor, make_stage, make_translation
from tests.stages.test_autoencoder import Batches

from mrcontrast.diffusion.samplers import DDIM, DDPM
from mrcontrast.errors import UsageError
from mrcontrast.latent.conditions import FlairAnchor, LatentCondition, RegressionAnchor
from mrcontrast.stages.concat_diffusion import ConcatDiffusion
from mrcontrast.stages.latent_bridge import LatentBridge

TRANSLATIONS = ("concat_diffusion", "latent_bridge", "residual_diffusion")


class Perfect(torch.nn.Module):
    """A denoiser that knows the velocity from one end of each path to the other."""

    def __init__(self, data, noise):
        super().__init__()
        self.velocity = noise - data

    def forward(self, x, timesteps):
        return self.velocity


@pytest.mark.parametrize("name", TRANSLATIONS)
def test_a_perfect_denoiser_draws_the_truth(name, dims, batch):
    stage = make_stage(name, dims).eval()
    z, condition = stage.codec.encode(batch["target"]), stage.condition(batch, stage.codec)
    noise = torch.randn_like(z)
    ends = stage.data_end(z, condition), stage.noise_end(noise, condition)
    stage.denoiser = Perfect(*ends)
    truth = stage.image(z, stage.prepare(batch))  # through the autoencoder
    torch.testing.assert_close(stage(batch, noise), truth, rtol=0, atol=1e-5)
    assert stage.error(batch, z, noise, torch.tensor([0.3, 0.8])).item() == pytest.approx(0)


@pytest.mark.parametrize("name", TRANSLATIONS)
def test_flair_matters_from_the_start(name, dims, batch):
    stage = make_stage(name, dims).eval()
    torch.nn.init.normal_(stage.denoiser.out[-1].conv.weight, std=0.1)
    noise = torch.randn(2, *stage.codec.latent_shape(batch["source"].shape[2:]))
    shuffled = batch | {"source": batch["source"].flip(0)}
    assert (stage(batch, noise) - stage(shuffled, noise)).abs().max() > 1e-3


@pytest.mark.parametrize("name", TRANSLATIONS)
def test_only_the_denoiser_learns(name, dims, batch):
    stage = make_stage(name, dims).train()
    stage.loss(batch).backward()
    learning = {
        name.split(".")[0] for name, value in stage.named_parameters() if value.grad is not None
    }
    assert learning == {"denoiser"}
    assert not stage.codec.training


def test_a_bridge_starts_at_the_latent_of_flair(dims, batch):
    stage = make_stage("latent_bridge", dims).eval()
    condition = stage.condition(batch, stage.codec)
    latent = stage.codec.encode(batch["source"])
    noise = torch.randn_like(latent)
    torch.testing.assert_close(stage.noise_end(noise, condition), latent + 0.1 * noise)
    assert stage.noise_shape(batch["source"].shape[2:]) == tuple(latent.shape[1:])


def test_a_bridge_without_noise_draws_one_thing(dims, batch):
    condition = FlairAnchor(3 + 2**dims)
    stage = make_translation(LatentBridge, condition, dims, sigma=0.0).eval()
    assert stage.noise_shape(batch["source"].shape[2:]) is None
    assert torch.equal(stage(batch), stage(batch))


def test_a_bridge_refuses_samplers_that_draw_on_their_way(dims, batch):
    stage = make_stage("latent_bridge", dims).eval()
    for sampler in (DDPM(2), DDIM(2, eta=0.5)):
        stage.process.sampler = sampler
        with pytest.raises(UsageError, match="draws noise on its way"):
            stage(batch)
    stage.process.sampler = DDIM(2)
    assert torch.isfinite(stage(batch)).all()


def test_a_residual_of_nothing_is_the_regression_itself(dims, batch):
    stage = make_stage("residual_diffusion", dims).eval()
    condition = stage.condition(batch, stage.codec)
    mean = stage.codec.encode(stage.condition.regressor.image(batch["source"]))
    torch.testing.assert_close(stage.latent(torch.zeros_like(mean), condition), mean)
    image = stage.condition.image(batch["source"])
    torch.testing.assert_close(stage.image(mean, stage.prepare(batch)), image)
    assert not torch.equal(stage.codec.decode(mean, image.shape[2:]), image)
    data = stage.data_end(mean + 1, condition)
    torch.testing.assert_close(data, torch.full_like(mean, 2.0))  # its deviation is set to 0.5
    torch.testing.assert_close(stage.latent(data, condition), mean + 1)


def test_the_residuals_deviation_is_measured_before_the_first_step(dims, batch):
    stage = make_stage("residual_diffusion", dims)
    stage.before_fit(Batches(batch, 3))
    posterior = stage.codec.posterior(batch)
    residual = posterior.mean - stage.codec.encode(stage.condition.regressor.image(batch["source"]))
    axes = [0, *range(2, residual.ndim)]
    second = (residual.square() + posterior.sigma.square()).mean(axes)
    expected = (second - residual.mean(axes).square()).sqrt()
    torch.testing.assert_close(stage.residual_std, expected, rtol=1e-4, atol=1e-5)


def test_a_denoiser_of_other_channels_is_refused():
    condition = LatentCondition(3)
    condition.in_channels = 6  # what the denoiser is made for; FLAIR is one slice
    with pytest.raises(UsageError, match="Expected an embedder of 3 channels"):
        make_translation(ConcatDiffusion, condition, 2)
    stage = make_stage("concat_diffusion", 2)
    parts = stage.codec, make_stage("latent_diffusion", 2).denoiser, LatentCondition(3)
    with pytest.raises(UsageError, match=r"Set stage\.denoiser\.in_channels=6"):
        ConcatDiffusion(*parts, stage.process, stage.optimisation)


def test_a_regression_with_other_neighbours_is_refused():
    condition = RegressionAnchor(make_regressor(2, slices=3), 3 + 4)
    with pytest.raises(UsageError, match=r"Add data\.context_slices=1"):
        condition.check(make_codec(2), context_slices=0)
