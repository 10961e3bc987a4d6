"""Fused attention: the same values in less memory, wherever values stay the same."""

from collections.abc import Iterator
from functools import partial

import pytest
import torch
from monai.networks.blocks import SABlock
from monai.networks.blocks.crossattention import CrossAttentionBlock
from monai.networks.nets import AutoencoderKL, ControlNet, DiffusionModelUNet
from tests.stages.conftest import adam, make_process, pixels
from torch import nn

from mrcontrast.latent.codec import AutoencoderCodec
from mrcontrast.networks.fast_kernels import quicken_attention
from mrcontrast.stages.autoencoder import Autoencoder
from mrcontrast.stages.controlnet import ControlNetDiffusion

NET = {"channels": (8, 16), "num_res_blocks": 1, "attention_levels": (False, True)}
NET |= {"norm_num_groups": 4}


def blocks(module: nn.Module) -> Iterator[nn.Module]:
    kinds = SABlock | CrossAttentionBlock
    return (part for part in module.modules() if isinstance(part, kinds))


def denoiser(dims: int, **options: object) -> DiffusionModelUNet:
    torch.manual_seed(0)
    return DiffusionModelUNet(dims, 3, 3, **NET, num_head_channels=8, **options)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("told", [False, True], ids=["self", "cross"])
def test_values_and_gradients_stay(dims: int, told: bool) -> None:
    options = {"with_conditioning": True, "cross_attention_dim": 5} if told else {}
    network = denoiser(dims, **options).double()
    for part in blocks(network):  # MONAI starts some layers at 0, which would hide the attention
        for weight in part.parameters():
            nn.init.normal_(weight, std=0.5)
    x = torch.randn(2, 3, *(8, 12, 4)[:dims], dtype=torch.float64)
    context = torch.randn(2, 3, 5, dtype=torch.float64) if told else None
    found = []
    for quick in (False, True):
        if quick:
            quicken_attention(network)
        assert {part.use_flash_attention for part in blocks(network)} == {quick}
        network.zero_grad()
        out = network(x, torch.tensor([3.0, 700.0]), context=context)
        out.square().sum().backward()
        found.append(
            (out, [weight.grad for weight in network.parameters() if weight.grad is not None])
        )
    torch.testing.assert_close(found[0], found[1], rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(
    "options",
    [
        {"dropout_rate": 0.1},
        {"save_attn": True},
        {"rel_pos_embedding": "decomposed", "input_size": (4, 4)},
        {"attention_dtype": torch.float32},
    ],
)
@pytest.mark.parametrize("kind", [SABlock, CrossAttentionBlock])
def test_blocks_whose_values_would_change_are_left(kind: type, options: dict) -> None:
    block = kind(hidden_size=8, num_heads=2, **options)
    quicken_attention(block)
    assert not block.use_flash_attention


def test_all_networks_of_a_stage_have_it() -> None:
    """Also that of a run whose config has no such key."""
    autoencoder = AutoencoderKL(2, 1, 1, **NET, latent_channels=3)
    assert all(part.use_flash_attention for part in blocks(Autoencoder(autoencoder, adam(), 1e-6)))
    codec = AutoencoderCodec(AutoencoderKL(2, 1, 1, **NET, latent_channels=3))
    stage = ControlNetDiffusion(
        partial(ControlNet),
        codec=codec,
        denoiser=partial(DiffusionModelUNet, **NET, num_head_channels=8),
        condition=pixels(),
        process=make_process(),
        optimisation=adam(),
    )
    for network in (stage.codec, stage.denoiser, stage.controlnet):
        found = [part.use_flash_attention for part in blocks(network)]
        assert found
        assert all(found)
