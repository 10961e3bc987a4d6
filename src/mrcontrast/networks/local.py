"""MONAI's networks without norms over the image: a voxel depends on its surroundings alone.

Filters are normalised and images are not, so that padding, cropping and tiles change nothing beyond
the receptive field, but for attention. ``norm_name`` and ``norm_num_groups`` have no effect.
"""

from collections.abc import Collection
from typing import Any

import torch
import torch.nn.functional as F
from monai.networks import nets
from monai.networks.blocks import SpatialAttentionBlock
from monai.networks.nets.diffusion_model_unet import SpatialTransformer
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization

ATTENTION = (SpatialAttentionBlock, SpatialTransformer)
CONVOLUTIONS = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)


class DynUNet(nets.DynUNet):
    """``monai.networks.nets.DynUNet``; its convolutions have a bias."""

    def __init__(self, *args: Any, **settings: Any) -> None:  # noqa: ANN401 - MONAI's
        group = {"norm_name": ("group", {"num_groups": 1})}
        super().__init__(*args, **settings | group)
        for part in self.modules():
            if isinstance(part, CONVOLUTIONS) and part.bias is None:
                add_bias(part)
        normalise_filters(self)


class AutoencoderKL(nets.AutoencoderKL):
    """``monai.networks.nets.AutoencoderKL``."""

    def __init__(self, *args: Any, **settings: Any) -> None:  # noqa: ANN401 - MONAI's
        super().__init__(*args, **settings | {"norm_num_groups": 1})
        plain = ("quant_conv_mu", "quant_conv_log_sigma", "post_quant_conv")
        normalise_filters(self, plain, gain=1.0)


class DiffusionModelUNet(nets.DiffusionModelUNet):
    """``monai.networks.nets.DiffusionModelUNet``."""

    def __init__(self, *args: Any, **settings: Any) -> None:  # noqa: ANN401 - MONAI's
        super().__init__(*args, **settings | {"norm_num_groups": 1})
        normalise_filters(self, ("conv2", "proj_out", "out"), gain=1.0)


class ControlNet(nets.ControlNet):
    """``monai.networks.nets.ControlNet``."""

    def __init__(self, *args: Any, **settings: Any) -> None:  # noqa: ANN401 - MONAI's
        super().__init__(*args, **settings | {"norm_num_groups": 1})
        own = ("controlnet_cond_embedding", "controlnet_down_blocks", "controlnet_mid_block")
        normalise_filters(self, ("conv2", "proj_out", *own), gain=1.0)


class VoxelNorm(nn.Module):
    """Layer norm over the channels of each voxel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels))
        self.shift = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, *S)."""
        last = x.movedim(1, -1)
        return F.layer_norm(last, last.shape[-1:], self.scale, self.shift).movedim(-1, 1)


class NormalisedFilters(nn.Module):
    """Filters as a direction and a gain for each output channel.

    PyTorch's ``weight_norm`` returns weights in channels-first order, which is slow on a CPU.
    ``axis`` is that of the output channels in the weight.

    Source: Salimans & Kingma 2016, arXiv 1602.07868, eq. 2.
    """

    def __init__(self, axis: int) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, gain: Tensor, direction: Tensor) -> Tensor:
        """Return the weight; the order in memory is that of the direction."""
        return direction * (gain / self.length(direction))

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gain, 1 along all axes but one, and the direction of a weight."""
        return self.length(weight), weight

    def length(self, weight: Tensor) -> Tensor:
        """Return the Euclidean norm of each filter."""
        axes = [axis for axis in range(weight.ndim) if axis != self.axis]
        return torch.linalg.vector_norm(weight, dim=axes, keepdim=True)


def normalise_filters(
    network: nn.Module, plain: Collection[str] = (), gain: float | None = None
) -> None:
    """Take the group norms out of a network and normalise its filters instead, in place.

    Args:
        network: See ``replace_norms``.
        plain: Names of convolutions, or of modules around them, that stay as they are: those that
            start at zero, whose filters have no direction.
        gain: Initial length of each filter; None keeps it.
    """
    replace_norms(network)
    for name, part in list(network.named_modules()):
        if isinstance(part, CONVOLUTIONS) and not set(plain) & set(name.split(".")):
            register_parametrization(part, "weight", NormalisedFilters(int(part.transposed)))
            if gain is not None:
                filters: Any = part.parametrizations
                nn.init.constant_(filters.weight.original0, gain)


def add_bias(convolution: Any) -> None:  # noqa: ANN401 - of 2D or 3D
    """Give a convolution the bias that PyTorch would."""
    weight = convolution.weight
    bound = weight[0].numel() ** -0.5
    convolution.bias = nn.Parameter(torch.empty(convolution.out_channels).uniform_(-bound, bound))


def replace_norms(module: nn.Module) -> None:
    """Put a layer norm over channels for each group norm before attention, nothing for others."""
    attends = isinstance(module, ATTENTION)
    for name, child in module.named_children():
        if isinstance(child, nn.GroupNorm):
            setattr(module, name, VoxelNorm(child.num_channels) if attends else nn.Identity())
        else:
            replace_norms(child)
