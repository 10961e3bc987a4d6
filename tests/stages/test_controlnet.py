"""What makes a ControlNet one: a silent start, a frozen base, and FLAIR that matters."""

import pytest
import torch
from monai.networks.nets import ControlNet
from tests.stages.conftest import (
    CHANNELS,
    SHAPES,
    latents,
    make_batch,
    make_codec,
    make_controlnet,
    make_regressor,
    make_stage,
    pixels,
    regressed,
)

from mrcontrast.errors import UsageError
from mrcontrast.latent.conditions import AtImageSize, Condition
from mrcontrast.latent.signals import Latent
from mrcontrast.networks.control import start_from_denoiser


def test_before_training_it_draws_what_the_denoiser_draws(dims, batch):
    stage = make_stage("controlnet", dims).eval()
    z = torch.randn(2, *stage.noise_shape(batch["source"].shape[2:]))
    t = torch.tensor([0.2, 0.9])
    steered = stage.predictor(stage.prepare(batch))(z, t)
    assert torch.equal(steered, stage.denoiser(z, 1000 * t))


def test_only_the_controlnet_learns(batch, dims):
    stage = make_stage("controlnet", dims)
    stage.loss(batch).backward()
    learning = {
        name.split(".")[0] for name, value in stage.named_parameters() if value.grad is not None
    }
    assert learning == {"controlnet"}


def test_an_unlocked_decoder_learns_and_its_encoder_does_not(batch, dims):
    unlocked = make_controlnet(dims, pixels(), unlock_decoder=True)
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
    real = stage.predictor(stage.prepare(batch))(z, t)
    shuffled = stage.predictor(batch | {"source": batch["source"].flip(0)})(z, t)
    assert (real - shuffled).abs().max() > 1e-3


def test_a_sampler_embeds_flair_once_and_draws_the_same(dims, batch):
    stage = make_stage("controlnet", dims).eval()
    torch.nn.init.normal_(stage.controlnet.controlnet_cond_embedding.conv_out.conv.weight)
    noise = torch.randn(2, *stage.noise_shape(batch["source"].shape[2:]))
    embedder, calls = stage.controlnet.controlnet_cond_embedding, []
    embedder.register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        z = sampled(stage, batch, noise)
    assert len(calls) == stage.sampler.num_calls > 1
    calls.clear()
    drawn = stage(batch, noise)
    assert len(calls) == 1
    assert torch.equal(drawn, stage.codec.decode(z, batch["source"].shape[2:]))
    assert stage.controlnet.controlnet_cond_embedding is embedder


def test_the_encoder_must_be_the_denoisers(dims):
    other = ControlNet(dims, 3, **(CHANNELS | {"channels": (8, 24)}), norm_num_groups=4)
    with pytest.raises(UsageError, match="Give both the same channels"):
        start_from_denoiser(other, make_stage("controlnet", dims).denoiser)


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
    condition = latents()
    condition.attach(codec, ["flair"], context_slices=1)
    value = condition(condition.compute({"source": flair}, codec), codec)
    assert value.shape == (2, 9, 10, 12)
    assert condition.channels(codec) == 9
    torch.testing.assert_close(value[:, 3:6], codec.encode(flair[:, 1:2]))
    assert torch.equal(condition({"source_latent": value}, codec), value)


def test_pixels_are_padded_and_centred():
    value = pixels()({"source": torch.ones(2, 1, 21, 24)}, make_codec(2))
    assert value.shape == (2, 1, 24, 24)
    assert torch.equal(value[:, :, :21], torch.ones(2, 1, 21, 24))
    assert torch.equal(value[:, :, 21:], -torch.ones(2, 1, 3, 24))


@pytest.mark.parametrize(("condition", "wanted"), [(pixels([4]), 2), (latents([4, 8]), 1)])
def test_an_embedder_of_the_wrong_size_is_refused(condition, wanted):
    with pytest.raises(UsageError, match=rf"Expected {wanted} stage\.condition\.embedder_channels"):
        condition.attach(make_codec(2), ["flair"], 0)


def test_latents_do_not_fit_an_embedder_of_images():
    condition = Condition({"latent": Latent()}, AtImageSize(), [4, 8])
    with pytest.raises(UsageError, match="AtLatentSize"):
        make_controlnet(2, condition)


def test_two_sources_with_neighbours_are_six_channels():
    stage = make_controlnet(2, pixels(), source=["flair", "t2w"], context_slices=1)
    batch = make_batch(SHAPES[2])
    batch["source"] = torch.rand(2, 6, *SHAPES[2])
    assert stage(batch).shape == (2, 1, *SHAPES[2])
    assert list(stage.pictures(batch)) == ["FLAIR", "T2w", "synthetic", "T1w", "error"]
    assert torch.equal(stage.pictures(batch)["T2w"], batch["source"][:, 4:5])


def sampled(stage, batch, noise):
    """Return a latent by plain calls, without an embedding that is shared."""
    ends = stage.process.schedule, stage.process.target
    return stage.sampler.sample(stage.predictor(stage.prepare(batch)), noise, *ends)


def make_regressed(dims):
    return make_controlnet(dims, regressed(make_regressor(dims))).eval()


def test_a_draw_may_begin_from_what_the_condition_guesses(dims, batch):
    stage = make_regressed(dims)
    image = stage.condition.regressor.image_of(batch)
    noise = torch.randn(2, *stage.noise_shape(batch["source"].shape[2:]))

    def change(start):
        stage.start = start
        return (stage(batch, noise) - image).abs().mean()

    assert change(1e-4) < 1e-3 < change(0.05) < change(0.9)
    stage.start = 1.0
    with torch.no_grad():
        z = sampled(stage, batch, noise)
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
