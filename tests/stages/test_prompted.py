"""Stages whose denoiser has cross-attention to a constant prompt."""

from functools import partial

import pytest
import torch
from monai.networks.nets import ControlNet, DiffusionModelUNet

from mrcontrast.networks.prompt import Prompt
from mrcontrast.stages.controlnet import ControlNetDiffusion
from mrcontrast.stages.latent_diffusion import LatentDiffusion

from .conftest import SHAPES, latent_parts, pixels

SIZES = {
    "channels": (8, 16),
    "num_res_blocks": 1,
    "attention_levels": (False, True),
    "norm_num_groups": 4,
    "num_head_channels": (0, 16),
    "with_conditioning": True,
    "cross_attention_dim": 4,
}


def wake(network):
    """Give a fresh network the weights that it starts without: zeros hide its context."""
    for value in network.parameters():
        if not value.any():
            torch.nn.init.normal_(value, std=0.1)


def make(name, dims, concatenated=False, **options):
    torch.manual_seed(0)
    prompt = Prompt(tokens=3, width=4, concatenated=concatenated, **options)
    parts = latent_parts(dims)
    parts |= {"denoiser": partial(DiffusionModelUNet, **SIZES), "prompt": prompt}
    if name == "latent_diffusion":
        stage = LatentDiffusion(**parts)
    else:
        stage = ControlNetDiffusion(partial(ControlNet), condition=pixels(), **parts)
    wake(stage.denoiser)
    stage.initialise()
    return stage


@pytest.mark.parametrize("name", ["latent_diffusion", "controlnet"])
def test_a_prompted_stage_learns_and_draws(name, dims, batch):
    stage = make(name, dims, dropout=0.5, guidance=7.0)
    stage.train()
    stage.loss(batch).backward()
    learning = stage.denoiser if name == "latent_diffusion" else stage.controlnet
    assert any(
        value.grad is not None and "attn2" in name for name, value in learning.named_parameters()
    )
    image = stage.eval()(batch)
    assert image.shape == batch["target"].shape
    assert not any("prompt" in name for name, _ in stage.named_parameters())


@pytest.mark.parametrize("name", ["latent_diffusion", "controlnet"])
def test_guidance_changes_the_draw_and_costs_a_call(name, dims, batch):
    drawn = {}
    for guidance in (0.0, 1.0, 7.0):
        stage = make(name, dims, guidance=guidance).eval()
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(2, *stage.noise_shape(SHAPES[dims]), generator=generator)
        calls = []
        stage.denoiser.register_forward_hook(lambda *_, calls=calls: calls.append(1))
        drawn[guidance] = stage(batch, noise)
        assert len(calls) == stage.network_calls(1) == (4 if guidance == 7 else 2)
    assert not torch.equal(drawn[0.0], drawn[1.0])
    assert not torch.equal(drawn[7.0], drawn[1.0])


def test_validation_is_not_guided(dims, batch):
    plain, guided = (make("controlnet", dims, guidance=w).eval() for w in (1.0, 7.0))
    assert plain.loss(batch, seed=0) == guided.loss(batch, seed=0)


def test_a_token_concatenated_to_the_latent_reaches_the_denoiser(dims, batch):
    stage = make("latent_diffusion", dims, concatenated=True).eval()
    shape = stage.noise_shape(batch["source"].shape[2:])
    z, t = torch.zeros(2, *shape), torch.full((2,), 0.5)
    before = stage.predictor(batch)(z, t)
    stage.prompt.prompt += 1
    assert not torch.allclose(before, stage.predictor(batch)(z, t))
