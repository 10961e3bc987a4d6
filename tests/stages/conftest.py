"""Tiny stages in 2D and 3D, and a batch that looks like a pair of scans."""

from functools import partial
from itertools import product

import pytest
import torch
from monai.networks.nets import (
    AutoencoderKL,
    ControlNet,
    DiffusionModelUNet,
    DynUNet,
    PatchDiscriminator,
)

from mrcontrast.diffusion.process import DiffusionProcess
from mrcontrast.diffusion.samplers import EulerFlow
from mrcontrast.diffusion.schedules import RectifiedFlow
from mrcontrast.diffusion.targets import Velocity
from mrcontrast.diffusion.time_sampling import UniformTimes
from mrcontrast.latent.codec import AutoencoderCodec
from mrcontrast.latent.conditions import AtImageSize, AtLatentSize, Condition
from mrcontrast.latent.signals import (
    Latent,
    Pixels,
    Regression,
    RegressionAnchor,
    SourceAnchor,
)
from mrcontrast.networks.regressor import Regressor
from mrcontrast.stages.adversarial_autoencoder import AdversarialAutoencoder
from mrcontrast.stages.autoencoder import Autoencoder
from mrcontrast.stages.concat_diffusion import ConcatDiffusion
from mrcontrast.stages.controlnet import ControlNetDiffusion
from mrcontrast.stages.latent_bridge import LatentBridge
from mrcontrast.stages.latent_diffusion import LatentDiffusion
from mrcontrast.stages.optimisation import Optimisation
from mrcontrast.stages.pix2pix import Pix2Pix
from mrcontrast.stages.residual_diffusion import ResidualDiffusion
from mrcontrast.stages.unet_regression import UNetRegression

SHAPES = {2: (20, 24), 3: (12, 16, 8)}
GROUPS = {"num_groups": 4}
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
    return {"source": flair, "target": t1w, "brain_mask": masks, "subject": ["sub-0", "sub-1"]}


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


def make_denoiser():
    return partial(DiffusionModelUNet, **CHANNELS, norm_num_groups=4, num_head_channels=4)


def make_process():
    return DiffusionProcess(RectifiedFlow(), Velocity(), UniformTimes(), EulerFlow(num_steps=2))


def adam(lr=1e-2):
    return Optimisation(partial(torch.optim.Adam, lr=lr))


def make_regressor(dims, slices=1, **roles):
    lists = {"kernel_size": [3, 3, 3], "strides": [1, 2, 2], "upsample_kernel_size": [2, 2]}
    network = partial(DynUNet, **lists, filters=[8, 8, 8], norm_name=("group", GROUPS))
    return Regressor(network, dims, context_slices=slices // 2, factor=4, **roles)


def make_pix2pix(dims):
    discriminator = partial(PatchDiscriminator, channels=4, num_layers_d=1)
    return Pix2Pix(make_regressor(dims), discriminator, adam(), adam(), l1_weight=100.0)


def pixels(embedder=(4, 8)):
    return Condition({"pixels": Pixels()}, AtImageSize(), embedder)


def folded():
    return Condition({"pixels": Pixels()}, AtLatentSize())


def latents(embedder=(1,)):
    return Condition({"latent": Latent()}, AtLatentSize(), embedder)


def source_anchor():
    return Condition({"anchor": SourceAnchor(), "pixels": Pixels()}, AtLatentSize())


def regression_anchor(regressor):
    signals = {"anchor": RegressionAnchor(regressor), "pixels": Pixels()}
    return Condition(signals, AtLatentSize())


def regressed(regressor, keep_detail=True):
    signals = {"pixels": Pixels(), "regression": Regression(regressor, keep_detail)}
    return Condition(signals, AtImageSize(), [4, 8])


def latent_parts(dims):
    torch.manual_seed(0)
    return {
        "codec": make_codec(dims),
        "denoiser": make_denoiser(),
        "process": make_process(),
        "optimisation": adam(),
    }


def make_translation(stage, condition, dims, **options):
    return stage(**latent_parts(dims), condition=condition, **options)


def make_residual(dims):
    condition = regression_anchor(make_regressor(dims))
    stage = make_translation(ResidualDiffusion, condition, dims)
    stage.residual_std.fill_(0.5)
    return stage


def make_bridge(dims):
    return make_translation(LatentBridge, source_anchor(), dims, sigma=0.1)


BASELINES = {
    "unet_regression": lambda dims: UNetRegression(make_regressor(dims), adam()),
    "pix2pix": make_pix2pix,
    "concat_diffusion": lambda dims: make_translation(ConcatDiffusion, latents(), dims),
    "latent_bridge": make_bridge,
    "residual_diffusion": make_residual,
}


def make_stage(name, dims):
    torch.manual_seed(0)
    if name == "autoencoder":
        return Autoencoder(make_autoencoder(dims), adam(), kl_weight=1e-6)
    if name == "adversarial":
        discriminator = PatchDiscriminator(dims, 4, 1, num_layers_d=1)
        return AdversarialAutoencoder(
            discriminator,
            adam(),
            0.01,
            2,
            autoencoder=make_autoencoder(dims),
            optimisation=adam(),
            kl_weight=1e-6,
        )
    if name == "latent_diffusion":
        return LatentDiffusion(**latent_parts(dims))
    if name in BASELINES:
        return BASELINES[name](dims)
    return make_controlnet(dims, pixels())


def make_controlnet(dims, condition, **options):
    parts = latent_parts(dims) | {"controlnet": partial(ControlNet), "condition": condition}
    stage = ControlNetDiffusion(**parts, **options)
    torch.nn.init.normal_(
        stage.denoiser.out[-1].conv.weight, std=0.1
    )  # a trained one is not silent
    stage.initialise()
    return stage
