"""The condition as further channels: ends of the paths of the three methods."""

import pytest
import torch
from tests.stages.conftest import (
    latents,
    make_codec,
    make_regressor,
    make_stage,
    make_translation,
    regression_anchor,
    source_anchor,
)
from tests.stages.test_autoencoder import Batches

from mrcontrast.diffusion.process import fixed_noise
from mrcontrast.diffusion.samplers import DDIM, DDPM
from mrcontrast.errors import UsageError
from mrcontrast.stages.latent_bridge import LatentBridge

TRANSLATIONS = ("concat_diffusion", "latent_bridge", "residual_diffusion")


class Perfect(torch.nn.Module):
    """A denoiser that knows the velocity from one end of each path to the other."""

    def __init__(self, data, noise):
        super().__init__()
        self.velocity = noise - data

    def forward(self, x, timesteps, context=None):
        return self.velocity


@pytest.mark.parametrize("name", TRANSLATIONS)
def test_a_perfect_denoiser_draws_the_truth(name, dims, batch):
    stage = make_stage(name, dims).eval()
    batch, z = stage.prepare(batch), stage.codec.encode(batch["target"])
    noise = fixed_noise(z, seed=3)
    ends = stage.data_end(z, batch), stage.noise_end(noise, batch)
    stage.denoiser = Perfect(*ends)
    truth = stage.codec.decode(z, batch["target"].shape[2:])  # through the autoencoder
    truth = (truth + batch.get("lost", 0)).clamp(0, 1)
    torch.testing.assert_close(stage(batch, noise), truth, rtol=0, atol=1e-5)
    assert stage.loss(batch, seed=3).item() == pytest.approx(0)


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
    latent = stage.codec.encode(batch["source"])
    noise = torch.randn_like(latent)
    torch.testing.assert_close(stage.noise_end(noise, stage.prepare(batch)), latent + 0.1 * noise)
    assert stage.noise_shape(batch["source"].shape[2:]) == tuple(latent.shape[1:])


def test_a_bridge_without_noise_draws_one_thing(dims, batch):
    stage = make_translation(LatentBridge, source_anchor(), dims, sigma=0.0).eval()
    assert stage.noise_shape(batch["source"].shape[2:]) is None
    assert torch.equal(stage(batch), stage(batch))


def test_a_bridge_refuses_samplers_that_draw_on_their_way(dims, batch):
    stage = make_stage("latent_bridge", dims).eval()
    for sampler in (DDPM(2), DDIM(2, eta=0.5)):
        stage.process.sampler = sampler
        with pytest.raises(UsageError, match="adds noise in its steps"):
            stage(batch)
    stage.process.sampler = DDIM(2)
    assert torch.isfinite(stage(batch)).all()


def test_a_residual_of_nothing_is_the_regression_itself(dims, batch):
    stage = make_stage("residual_diffusion", dims).eval()
    batch, image = stage.prepare(batch), stage.condition.regressor.image_of(batch)
    mean = stage.codec.encode(image)
    torch.testing.assert_close(stage.latent(torch.zeros_like(mean), batch), mean)
    decoded = stage.codec.decode(mean, image.shape[2:])
    torch.testing.assert_close((decoded + batch["lost"]).clamp(0, 1), image)
    assert not torch.equal(decoded, image)
    data = stage.data_end(mean + 1, batch)
    torch.testing.assert_close(data, torch.full_like(mean, 2.0))  # its deviation is set to 0.5
    torch.testing.assert_close(stage.latent(data, batch), mean + 1)


def test_the_residuals_deviation_is_measured_before_the_first_step(dims, batch):
    stage = make_stage("residual_diffusion", dims)
    stage.before_fit(Batches(batch, 3))
    posterior = stage.codec.posterior(batch)
    residual = posterior.mean - stage.codec.encode(stage.condition.regressor.image_of(batch))
    axes = [0, *range(2, residual.ndim)]
    second = (residual.square() + posterior.sigma.square()).mean(axes)
    expected = (second - residual.mean(axes).square()).sqrt()
    torch.testing.assert_close(stage.residual_std, expected, rtol=1e-4, atol=1e-5)


def test_the_denoiser_gets_the_channels_of_the_condition():
    options = {"source": ["flair", "t2w"], "context_slices": 1}
    stage = make_translation(LatentBridge, source_anchor(), 2, sigma=0.1, **options)
    assert stage.denoiser.in_channels == 3 + 3 + 2 * 3 * 4  # latent, anchor, folded pixels
    batch = {"source": torch.rand(2, 6, 20, 24), "brain_mask": torch.ones(2, 1, 20, 24)}
    assert stage(batch).shape == (2, 1, 20, 24)
    anchor = stage.prepare(batch)["anchor"]
    torch.testing.assert_close(anchor, stage.codec.encode(batch["source"][:, 1:2]))


def test_a_condition_without_an_anchor_is_refused():
    with pytest.raises(UsageError, match="with an anchor for a LatentBridge, got latent"):
        make_translation(LatentBridge, latents(), 2, sigma=0.1)


def test_a_regression_of_other_input_is_refused():
    condition = regression_anchor(make_regressor(2, slices=3))
    with pytest.raises(UsageError, match=r"Add data\.context_slices=1"):
        condition.attach(make_codec(2), ["flair"], context_slices=0)
    with pytest.raises(UsageError, match="Expected the source flair of the regression, got t2w"):
        condition.attach(make_codec(2), ["t2w"], context_slices=1)
