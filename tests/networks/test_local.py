"""Networks without norms over the image: empty space around a brain changes nothing."""

import pytest
import torch
import torch.nn.functional as F
from monai.networks import nets
from torch import nn

from mrcontrast.networks import local
from mrcontrast.networks.fast_kernels import quicken_attention, use_fast_kernels

MARGIN = 28  # voxels around the brain, more than the receptive field
LEVELS = {
    "num_res_blocks": 1,
    "channels": (8, 8),
    "attention_levels": (False, False),
    "norm_num_groups": 4,
}
EMBEDDER = {
    "conditioning_embedding_in_channels": 1,
    "conditioning_embedding_num_channels": (4,),
}


def dynunet(family, dims):
    settings = {} if family is local else {"norm_name": ("group", {"num_groups": 4})}
    lists = [3, 3, 3], [1, 2, 2], [2, 2]
    return family.DynUNet(dims, 1, 1, *lists, filters=[8, 8, 8], **settings)


def autoencoder(family, dims):
    attention = {"with_encoder_nonlocal_attn": False, "with_decoder_nonlocal_attn": False}
    return family.AutoencoderKL(dims, 1, 1, **LEVELS, latent_channels=2, **attention)


def denoiser(family, dims):
    return family.DiffusionModelUNet(dims, 1, 1, **LEVELS, num_head_channels=4)


def controlnet(family, dims):
    return family.ControlNet(dims, 1, **LEVELS, num_head_channels=4, **EMBEDDER)


RUN = {
    dynunet: lambda network, x: network(x),
    autoencoder: lambda network, x: network.decode(network.encode(x)[0]),
    denoiser: lambda network, x: network(x, torch.full((len(x),), 500.0)),
    controlnet: lambda network, x: network(x, torch.full((len(x),), 500.0), x)[0][-1],
}


def drawn_again(network):
    """Give a network weights that are not zero anywhere, and attention that needs little memory."""
    quicken_attention(network)
    torch.manual_seed(0)
    for value in network.parameters():
        nn.init.normal_(value, 0.1, 0.3 if value.ndim == 1 else 0.1)
    return network.eval()


def middle(x, size):
    start = [(n - size) // 2 for n in x.shape[2:]]
    return x[(..., *(slice(a, a + size) for a in start))]


ATTEND = (denoiser, controlnet)  # to the whole field, in their middle block


@pytest.mark.parametrize("dims", [2, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.parametrize("build", list(RUN))
def test_padding_changes_nothing_but_with_group_norms(build, dims):
    generator = torch.Generator().manual_seed(1)
    brain = torch.rand(1, 1, *[8] * dims, generator=generator)
    narrow, wide = (F.pad(brain, [side] * 2 * dims) for side in (MARGIN, MARGIN + 4))
    changes = []
    for family in (local, nets):
        network = drawn_again(build(family, dims))
        with torch.inference_mode():
            outputs = [middle(RUN[build](network, x), 8) for x in (narrow, wide)]
        changes.append(float((outputs[0] - outputs[1]).abs().max() / outputs[0].std()))
    assert changes[0] < (0.05 if build in ATTEND else 1e-4)
    assert changes[1] > 0.5


@pytest.mark.parametrize("build", list(RUN))
def test_no_norm_over_the_image_is_left(build):
    norms = (nn.GroupNorm, nn.modules.batchnorm._NormBase)
    assert not any(isinstance(part, norms) for part in build(local, 2).modules())
    assert any(isinstance(part, norms) for part in build(nets, 2).modules())


@pytest.mark.parametrize("build", list(RUN))
def test_weights_of_the_other_family_do_not_fit(build):
    with pytest.raises(RuntimeError, match="Missing key"):
        build(local, 2).load_state_dict(build(nets, 2).state_dict())


def test_what_starts_at_zero_still_does():
    assert not denoiser(local, 2)(torch.rand(1, 1, 8, 8), torch.zeros(1)).any()
    down, inner = controlnet(local, 2)(
        torch.rand(1, 1, 8, 8), torch.zeros(1), torch.rand(1, 1, 8, 8)
    )
    assert not any(part.any() for part in [*down, inner])


def test_attention_normalises_each_token():
    settings = LEVELS | {"attention_levels": (False, True)}
    network = local.DiffusionModelUNet(2, 1, 1, **settings, num_head_channels=4)
    norms = [part for part in network.modules() if isinstance(part, local.VoxelNorm)]
    x = torch.randn(2, 8, 5, 6) * 3 + 1
    assert norms
    torch.testing.assert_close(norms[0](x).mean(1), torch.zeros(2, 5, 6), atol=1e-5, rtol=0)
    torch.testing.assert_close(
        norms[0](x).var(1, correction=0), torch.ones(2, 5, 6), atol=1e-3, rtol=0
    )


@pytest.mark.parametrize("dims", [2, 3])
def test_filters_have_their_gain_and_the_order_in_memory(dims):
    network = autoencoder(local, dims)
    use_fast_kernels(network)
    last = torch.channels_last if dims == 2 else torch.channels_last_3d
    normalised = [part for part in network.modules() if hasattr(part, "parametrizations")]
    assert len(normalised) > 8
    for part in normalised:
        assert part.weight.is_contiguous(memory_format=last)
        lengths = torch.linalg.vector_norm(part.weight.flatten(1), dim=1)
        torch.testing.assert_close(lengths, torch.ones_like(lengths))


def test_a_bf16_step_comes_near_float32():
    network = dynunet(local, 2)
    x = torch.rand(2, 1, 16, 16)
    exact = network(x).detach()
    with torch.autocast("cpu", torch.bfloat16):
        rough = network(x)
    rough.sum().backward()
    assert all(torch.isfinite(value.grad).all() for value in network.parameters())
    assert (rough.detach().float() - exact).abs().mean() < 0.05 * exact.std()
