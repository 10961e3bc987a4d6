"""The codec: standardised latents, padding, and refusals."""

import logging

import pytest
import torch
from tests.stages.conftest import SHAPES, make_autoencoder, make_codec, make_stage

from mrcontrast.errors import MrcontrastError
from mrcontrast.latent.codec import AutoencoderCodec, LatentStatistics, Posterior


@pytest.mark.parametrize("dims", [2, 3])
def test_decoding_undoes_the_standardisation(dims):
    codec = make_codec(dims)
    codec.mean.copy_(torch.tensor([0.3, -0.2, 0.1]))
    image = torch.rand(2, 1, *SHAPES[dims])
    raw = codec.autoencoder.decode(codec.moments(image).mean).clamp(0, 1)
    torch.testing.assert_close(codec.decode(codec.encode(image), SHAPES[dims]), raw)


@pytest.mark.parametrize("shape", [(21, 26), (9, 15, 10)])
def test_odd_sizes_are_padded_and_cropped(shape):
    codec = make_codec(len(shape))
    image = torch.rand(2, 1, *shape)
    z = codec.encode(image)
    assert z.shape[1:] == codec.latent_shape(shape)
    assert all(size % codec.latent_multiple == 0 for size in z.shape[2:])
    assert codec.decode(z, shape).shape == image.shape


def test_cached_moments_give_the_same_posterior():
    codec = make_codec(2)
    image = torch.rand(2, 1, *SHAPES[2])
    raw = codec.moments(image)
    direct = codec.posterior({"target": image})
    cached = codec.posterior({"target_mean": raw.mean, "target_sigma": raw.sigma})
    assert torch.equal(direct.mean, cached.mean)
    assert torch.equal(direct.sigma, cached.sigma)


def test_statistics_over_batches_are_those_of_all_values():
    torch.manual_seed(0)
    mean, sigma = torch.randn(6, 3, 4, 5), torch.rand(6, 3, 4, 5)
    statistics = LatentStatistics()
    for part in (slice(0, 2), slice(2, 6)):
        statistics.update(Posterior(mean[part], sigma[part]))
    found_mean, found_std = statistics.compute()
    torch.testing.assert_close(found_mean, mean.mean((0, 2, 3)))
    variance = mean.var((0, 2, 3), correction=0) + sigma.square().mean((0, 2, 3))
    torch.testing.assert_close(found_std, variance.sqrt())


def test_standardised_draws_have_zero_mean_and_unit_deviation():
    codec = make_codec(2)
    images = torch.rand(64, 1, *SHAPES[2])
    statistics = LatentStatistics()
    statistics.update(codec.moments(images))
    mean, std = statistics.compute()
    codec.mean.copy_(mean)
    codec.std.copy_(std)
    torch.manual_seed(0)
    z = codec.posterior({"target": images}).sample()
    torch.testing.assert_close(z.mean((0, 2, 3)), torch.zeros(3), rtol=0, atol=0.02)
    torch.testing.assert_close(z.std((0, 2, 3)), torch.ones(3), rtol=0, atol=0.02)


@pytest.mark.parametrize("std", [float("nan"), 0.0, float("inf")])
def test_a_codec_without_sound_statistics_is_refused(std):
    codec = AutoencoderCodec(make_autoencoder(2))
    codec.std.fill_(std)
    with pytest.raises(MrcontrastError, match="latent standard deviations"):
        codec.check()


@pytest.mark.parametrize(("measured", "found"), [(24.5, "24.50 dB"), (float("nan"), "none")])
def test_an_autoencoder_below_the_bar_is_refused(measured, found):
    codec = make_codec(2)
    codec.psnr_db.fill_(measured)
    codec.check()
    codec.min_autoencoder_psnr_db = 30.0
    with pytest.raises(MrcontrastError, match=f"30 dB or more in the brain, got {found}") as caught:
        codec.check()
    assert "stage.codec.min_autoencoder_psnr_db" in str(caught.value)
    codec.psnr_db.fill_(30.0)
    codec.check()


def test_the_ceiling_is_shown(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("mrcontrast"), "propagate", True)  # the command line's
    codec = make_codec(2)
    codec.psnr_db.fill_(31.24)
    with caplog.at_level("INFO", logger="mrcontrast"):
        codec.check()
    assert "Ceiling: 31.24 dB" in caplog.text


@pytest.mark.parametrize("name", ["latent_diffusion", "controlnet"])
def test_later_stages_refuse_before_they_fit(name):
    stage = make_stage(name, 2)
    stage.codec.min_autoencoder_psnr_db = 30.0
    with pytest.raises(MrcontrastError, match="got none measured"):
        stage.before_fit(None)


def test_the_codec_never_trains():
    codec = make_codec(2).train()
    assert not codec.autoencoder.training
    assert not any(value.requires_grad for value in codec.parameters())


def test_a_typed_scale_takes_the_place_of_the_statistics():
    codec = AutoencoderCodec(make_autoencoder(2), latent_multiple=2, scale=0.25)
    codec.mean.fill_(3.0)
    codec.std.fill_(7.0)
    raw = Posterior(torch.full((1, 3, 2, 2), 2.0), torch.full((1, 3, 2, 2), 0.4))
    assert codec.standardise(raw).mean.unique().item() == 0.5
    assert codec.standardise(raw).sigma.unique().item() == pytest.approx(0.1)
    z = torch.randn(1, 3, 4, 6)
    image = codec.autoencoder.decode(z * 4).clamp(0, 1)
    torch.testing.assert_close(codec.decode(z, image.shape[2:]), image)
