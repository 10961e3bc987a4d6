"""Tiny stages in 2D and 3D, and a batch that looks like a pair of scans."""

from functools import partial
from itertools import product

import pytest
import torch
from monai.networks.nets import AutoencoderKL, ControlNet, DiffusionModelUNet, PatchDiscriminator

from mrcontrast.conditions import PixelCondition
from mrcontrast.diffusion.process import DiffusionProcess
from mrcontrast.diffusion.samplers import EulerFlow
from mrcontrast.diffusion.schedules import RectifiedFlow
from mrcontrast.diffusion.targets import Velocity
from mrcontrast.diffusion.time_sampling import UniformTimes
from mrcontrast.latents import AutoencoderCodec
from mrcontrast.networks.control import start_from_denoiser
from mrcontrast.optimisation import Optimisation
from mrcontrast.stages.adversarial_autoencoder import AdversarialAutoencoder
from mrcontrast.stages.autoencoder import Autoencoder
from mrcontrast.stages.controlnet import ControlNetDiffusion
from mrcontrast.stages.latent_diffusion import LatentDiffusion

SHAPES = {2: (20, 24), 3: (12, 16, 8)}
CHANNELS = {"channels": (8, 16), "num_res_blocks": 1, "attention_levels": (False, False)}


@pytest.fixture(params=[2, 3], ids=["2d", "3d"])
def dims(request):
    return request.param


@pytest.fixture
def batch(dims):
    return make_batch(SHAPES[dims])


def make_batch(shape, size=2):
    """Blobs inside an ellipse; T1w is bright where FLAIR is dark."""
    axes = torch.meshgrid(*[torch.linspace(-1, 1, length) for length in shape], indexing="ij")
    mask = (sum(axis**2 for axis in axes) < 0.8).float()
    items = []
    for item, phase in product(range(size), [0.0]):
        wave = sum(torch.sin(4 * axis + item + phase) for axis in axes) / (2 * len(shape)) + 0.5
        items.append(wave.clamp(0, 1) * mask)
    flair = torch.stack(items)[:, None]
    t1w = (1 - flair) * mask
    masks = mask.expand(size, 1, *shape).clone()
    return {"flair": flair, "t1w": t1w, "brain_mask": masks, "subject": ["sub-0", "sub-1"]}


def make_autoencoder(dims):
    torch.manual_seed(0)
    return AutoencoderKL(
        dims,
        1,
        1,
        **CHANNELS,
        latent_channels=3,
        norm_num_groups=4,
        with_encoder_nonlocal_attn=False,
        with_decoder_nonlocal_attn=False,
    )


def make_codec(dims):
    codec = AutoencoderCodec(make_autoencoder(dims), latent_multiple=2)
    codec.std.fill_(1.0)
    return codec


def make_denoiser(dims):
    return DiffusionModelUNet(dims, 3, 3, **CHANNELS, norm_num_groups=4, num_head_channels=4)


def make_process():
    return DiffusionProcess(RectifiedFlow(), Velocity(), UniformTimes(), EulerFlow(num_steps=2))


def adam(lr=1e-2):
    return Optimisation(partial(torch.optim.Adam, lr=lr))


def make_stage(name, dims):
    torch.manual_seed(0)
    if name == "autoencoder":
        return Autoencoder(make_autoencoder(dims), adam(), kl_weight=1e-6)
    if name == "adversarial":
        discriminator = PatchDiscriminator(dims, 4, 1, num_layers_d=1)
        return AdversarialAutoencoder(
            make_autoencoder(dims), adam(), 1e-6, discriminator, adam(), 0.01, 2
        )
    if name == "latent_diffusion":
        return LatentDiffusion(make_codec(dims), make_denoiser(dims), make_process(), adam())
    controlnet = ControlNet(
        dims,
        3,
        **CHANNELS,
        norm_num_groups=4,
        num_head_channels=4,
        conditioning_embedding_num_channels=(4, 8),
    )
    denoiser = make_denoiser(dims)
    torch.nn.init.normal_(denoiser.out[-1].conv.weight, std=0.1)  # a trained one is not silent
    start_from_denoiser(controlnet, denoiser)
    return ControlNetDiffusion(
        make_codec(dims), denoiser, controlnet, PixelCondition(1, [4, 8]), make_process(), adam()
    )
