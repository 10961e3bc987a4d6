"""What makes a ControlNet one: a silent start, a frozen base, and FLAIR that matters."""

import pytest
import torch
from monai.networks.nets import ControlNet
from tests.stages.conftest import (
    CHANNELS,
    make_codec,
    make_denoiser,
    make_regressor,
    make_stage,
)

from mrcontrast.errors import UsageError
from mrcontrast.latent.conditions import LatentCondition, PixelCondition, RegressedPixels
from mrcontrast.networks.control import start_from_denoiser
from mrcontrast.stages.controlnet import ControlNetDiffusion


def test_before_training_it_draws_what_the_denoiser_draws(dims, batch):
    stage = make_stage("controlnet", dims).eval()
    z = torch.randn(2, *stage.noise_shape(batch["source"].shape[2:]))
    t = torch.tensor([0.2, 0.9])
    steered = stage.conditioned_on(batch)(z, t)
    assert torch.equal(steered, stage.denoiser(z, 1000 * t))


def test_only_the_controlnet_learns(batch, dims):
    stage = make_stage("controlnet", dims)
    stage.loss(batch).backward()
    learning = {
        name.split(".")[0] for name, value in stage.named_parameters() if value.grad is not None
    }
    assert learning == {"controlnet"}


def test_an_unlocked_decoder_learns_and_its_encoder_does_not(batch, dims):
    stage = make_stage("controlnet", dims)
    parts = (stage.codec, stage.denoiser, stage.controlnet, stage.condition, stage.process)
    unlocked = ControlNetDiffusion(*parts, stage.optimisation, unlock_decoder=True)
    unlocked.loss(batch).backward()
    learning = {
        ".".join(name.split(".")[:2])
        for name, value in unlocked.named_parameters()
        if value.grad is not None and not name.startswith("controlnet.")
    }
    assert learning == {"denoiser.up_blocks", "denoiser.out"}
    theirs = {id(value) for value in unlocked.parameters() if value.requires_grad}
    assert {id(value) for value in unlocked.trained.parameters()} == theirs


def test_the_base_stays_in_evaluation_mode_while_training(dims):
    stage = make_stage("controlnet", dims).train()
    stage.on_train_epoch_start()
    assert not stage.denoiser.training
    assert not stage.codec.training


def test_flair_matters_once_a_zero_layer_has_moved(dims, batch):
    stage = make_stage("controlnet", dims).eval()
    for block in stage.controlnet.controlnet_down_blocks:
        for value in block.parameters():
            torch.nn.init.normal_(value, std=0.1)
    torch.nn.init.normal_(stage.controlnet.controlnet_cond_embedding.conv_out.conv.weight)
    z, t = torch.randn(2, *stage.noise_shape(batch["source"].shape[2:])), torch.tensor([0.5, 0.5])
    real = stage.conditioned_on(batch)(z, t)
    shuffled = stage.conditioned_on(batch | {"source": batch["source"].flip(0)})(z, t)
    assert (real - shuffled).abs().max() > 1e-3


def test_a_sampler_embeds_flair_once_and_draws_the_same(dims, batch):
    stage = make_stage("controlnet", dims).eval()
    torch.nn.init.normal_(stage.controlnet.controlnet_cond_embedding.conv_out.conv.weight)
    noise = torch.randn(2, *stage.noise_shape(batch["source"].shape[2:]))
    embedder, calls = stage.controlnet.controlnet_cond_embedding, []
    embedder.register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        z = stage.process.sample(stage.conditioned_on(batch), noise)
    assert len(calls) == stage.sampler.num_calls > 1
    calls.clear()
    drawn = stage(batch, noise)
    assert len(calls) == 1
    assert torch.equal(drawn, stage.codec.decode(z, batch["source"].shape[2:]))
    assert stage.controlnet.controlnet_cond_embedding is embedder


def test_the_encoder_must_be_the_denoisers(dims):
    other = ControlNet(dims, 3, **(CHANNELS | {"channels": (8, 24)}), norm_num_groups=4)
    with pytest.raises(UsageError, match="Give both the same channels"):
        start_from_denoiser(other, make_denoiser(dims))


def test_it_starts_from_the_denoiser_it_was_given(dims):
    stage = make_stage("controlnet", dims)
    for value in stage.controlnet.parameters():
        torch.nn.init.constant_(value, 7.0)
    stage.initialise()
    ours, theirs = stage.controlnet.state_dict(), stage.denoiser.state_dict()
    assert torch.equal(ours["conv_in.conv.weight"], theirs["conv_in.conv.weight"])
    assert ours["controlnet_mid_block.conv.weight"].eq(7).all()


def test_latents_of_a_slab_become_channels():
    codec = make_codec(2)
    flair = torch.rand(2, 3, 20, 24)
    condition = LatentCondition(9, [8])
    condition.check(codec, context_slices=1)
    value = condition({"source": flair}, codec)
    assert value.shape == (2, 9, 10, 12)
    torch.testing.assert_close(value[:, 3:6], codec.encode(flair[:, 1:2]))
    assert torch.equal(condition({"source_latent": value}, codec), value)


def test_pixels_are_padded_and_centred():
    value = PixelCondition(1, [4, 8])({"source": torch.ones(2, 1, 21, 24)}, make_codec(2))
    assert value.shape == (2, 1, 24, 24)
    assert torch.equal(value[:, :, :21], torch.ones(2, 1, 21, 24))
    assert torch.equal(value[:, :, 21:], -torch.ones(2, 1, 3, 24))


@pytest.mark.parametrize(
    ("condition", "context_slices"),
    [
        (PixelCondition(1, [4]), 0),
        (PixelCondition(1, [4, 8]), 1),
        (LatentCondition(3, [4, 8]), 0),
        (LatentCondition(4, [4]), 0),
    ],
)
def test_an_embedder_of_the_wrong_size_is_refused(condition, context_slices):
    with pytest.raises(UsageError, match="Expected an embedder of"):
        condition.check(make_codec(2), context_slices)


def make_regressed(dims):
    plain = make_stage("controlnet", dims)
    embedder = {
        "conditioning_embedding_in_channels": 2,
        "conditioning_embedding_num_channels": (4, 8),
    }
    controlnet = ControlNet(dims, 3, **CHANNELS, norm_num_groups=4, num_head_channels=4, **embedder)
    condition = RegressedPixels(make_regressor(dims), 2, [4, 8])
    parts = (plain.codec, plain.denoiser, controlnet, condition, plain.process)
    return ControlNetDiffusion(*parts, plain.optimisation).eval()


def test_a_draw_may_begin_from_what_the_condition_guesses(dims, batch):
    stage = make_regressed(dims)
    regressed = stage.condition.image(batch["source"])
    noise = torch.randn(2, *stage.noise_shape(batch["source"].shape[2:]))

    def change(start):
        stage.start = start
        return (stage(batch, noise) - regressed).abs().mean()

    assert change(1e-4) < 1e-3 < change(0.2) < change(0.9)
    stage.start = 1.0
    with torch.no_grad():
        z = stage.process.sample(stage.conditioned_on(batch), noise)
    from_noise = stage.codec.decode(z, batch["source"].shape[2:])
    image = (from_noise + stage.prepare(batch)["lost"]).clamp(0, 1)
    torch.testing.assert_close(stage(batch, noise), image)


@pytest.mark.parametrize("start", [0.5, 1.0])
def test_draws_of_a_prepared_batch_are_those_of_the_batch(dims, batch, start):
    stage = make_regressed(dims)
    stage.start = start
    noise = torch.randn(2, *stage.noise_shape(batch["source"].shape[2:]))
    assert torch.equal(stage(stage.prepare(batch), noise), stage(batch, noise))


@pytest.mark.parametrize("start", [0.0, 1.5])
def test_a_start_that_cannot_be_is_refused(start):
    with pytest.raises(UsageError, match=r"in \(0, 1\]"):
        make_regressed(2).start = start


def test_pixels_guess_nothing_to_begin_from():
    stage = make_stage("controlnet", 2)
    with pytest.raises(UsageError, match="stage/condition=regressed"):
        stage.start = 0.9
    assert stage.start == 1
