"""Ways to normalise a network, put into MONAI's networks in place."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization

from mrcontrast.networks.local import ATTENTION, CONVOLUTIONS, add_bias

GAIN = 2**0.5  # of a rectifier, which halves the variance
Change = Callable[[nn.Module, "Field"], None]


class Field:
    """The brain mask of the batch at hand, (B, 1, *S), for norms that need it."""

    mask: Tensor | None = None


class ChannelNorm(nn.Module):
    """Normalise over the channels of each voxel: layer norm, or RMS norm if it is not centred."""

    def __init__(self, channels: int, centred: bool) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels))
        self.shift = nn.Parameter(torch.zeros(channels))
        self.centred = centred

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, *S)."""
        last, shape = x.movedim(1, -1), (x.shape[1],)
        if self.centred:
            return F.layer_norm(last, shape, self.scale, self.shift).movedim(-1, 1)
        return (F.rms_norm(last, shape, self.scale, 1e-5) + self.shift).movedim(-1, 1)


class Affine(nn.Module):
    """A scale and a shift for each channel, and no norm."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((channels,), GAIN))
        self.shift = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Scale and shift (B, C, *S)."""
        shape = (-1, *[1] * (x.ndim - 2))
        return torch.addcmul(self.shift.view(shape), x, self.scale.view(shape))


class UnitFilters(nn.Module):
    """Filters of unit length, and of zero mean if they are centred.

    Source: Karras et al. 2023, "EDM2", arXiv 2312.02696, section 2.3; centred: Qiao et al. 2019,
    arXiv 1903.10520.
    """

    def __init__(self, axis: int, centred: bool) -> None:
        super().__init__()
        self.axis, self.centred = axis, centred

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight that is used."""
        axes = [axis for axis in range(weight.ndim) if axis != self.axis]
        if self.centred:
            weight = weight - weight.mean(axes, keepdim=True)
        return weight / (torch.linalg.vector_norm(weight, dim=axes, keepdim=True) + 1e-4)


class BrainGroupNorm(nn.Module):
    """Group norm with the statistics of brain voxels alone, and 0 elsewhere."""

    def __init__(self, norm: nn.GroupNorm, field: Field) -> None:
        super().__init__()
        self.norm, self.field = norm, [field]

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, *S) under the mask, max-pooled to the size of x."""
        mask = self.field[0].mask
        assert mask is not None
        pool = F.adaptive_max_pool2d if x.ndim == 4 else F.adaptive_max_pool3d
        inside = pool(mask, x.shape[2:])
        weight = inside.unsqueeze(1)
        split = x.unflatten(1, (self.norm.num_groups, -1))
        axes = list(range(2, split.ndim))
        count = weight.sum(axes, keepdim=True).clamp_min(1) * split.shape[2]
        mean = (split * weight).sum(axes, keepdim=True) / count
        var = ((split - mean).square() * weight).sum(axes, keepdim=True) / count
        normal = ((split - mean) * (var + self.norm.eps).rsqrt()).flatten(1, 2)
        shape = (-1, *[1] * (x.ndim - 2))
        return (normal * self.norm.weight.view(shape) + self.norm.bias.view(shape)) * inside


class Cropped(nn.Module):
    """Run a 2D U-Net on the box of the brain, widened until brain fills a constant share of it."""

    def __init__(self, network: nn.Module, factor: int, share: float = 0.45) -> None:
        super().__init__()
        self.network, self.factor, self.share = network, factor, share

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, 1, X, Y), 0 outside the boxes."""
        result = x.new_zeros(len(x), 1, *x.shape[2:])
        for index, image in enumerate(x):
            brain = (image > 0).any(0)
            box = tuple(extent(brain.any(1 - axis)) for axis in range(2))
            part = image[(slice(None), *box)]
            filled = float(brain.sum()) / max(1, part[0].numel())
            growth = max(1.0, filled / self.share) ** 0.5
            goals = [-(-round(n * growth) // self.factor) * self.factor for n in part.shape[1:]]
            before = [(goal - n) // 2 for goal, n in zip(goals, part.shape[1:], strict=True)]
            wide = part.new_zeros(len(image), *goals)
            inner = [slice(a, a + n) for a, n in zip(before, part.shape[1:], strict=True)]
            wide[(slice(None), *inner)] = part
            drawn = self.network(wide.unsqueeze(0))[0]
            result[(index, slice(None), *box)] = drawn[(slice(None), *inner)].to(result)
        return result


def extent(found: Tensor) -> slice:
    """Return the span of (N,), bool."""
    places = found.nonzero().flatten().tolist() or [0]
    return slice(places[0], places[-1] + 1)


def replace(module: nn.Module, make: Callable[[nn.GroupNorm], nn.Module]) -> None:
    """Put another norm in the place of each group norm, in place."""
    for name, child in module.named_children():
        if isinstance(child, nn.GroupNorm):
            setattr(module, name, make(child))
        elif not isinstance(child, BrainGroupNorm):  # a network may hold a block twice
            replace(child, make)


def add_biases(network: nn.Module) -> None:
    """Give each convolution a bias: without one a norm over channels loses the brightness."""
    for part in network.modules():
        if isinstance(part, CONVOLUTIONS) and part.bias is None:
            add_bias(part)


def channels(centred: bool) -> Change:
    """Return the change to norms over the channels of each voxel."""

    def change(network: nn.Module, field: Field) -> None:
        add_biases(network)
        replace(network, lambda norm: ChannelNorm(norm.num_channels, centred))

    return change


def brain(network: nn.Module, field: Field) -> None:
    """Let group norms see brain alone."""
    replace(network, lambda norm: BrainGroupNorm(norm, field))


def filters(centred: bool) -> Change:
    """Return the change to no norms and filters of unit length."""

    def change(network: nn.Module, field: Field) -> None:
        replace(network, lambda norm: Affine(norm.num_channels))
        for name, part in list(network.named_modules()):
            if not isinstance(part, CONVOLUTIONS) or part.out_channels == 1:
                continue
            if (
                "quant" not in name and part.weight.any()
            ):  # filters that start at 0 stay as they are
                axis = int(part.transposed)
                register_parametrization(part, "weight", UnitFilters(axis, centred))

    return change


def none(network: nn.Module, field: Field) -> None:
    """Leave the norms out."""
    add_biases(network)
    replace(network, lambda norm: nn.Identity())


class Unattended(nn.Module):
    """Return the image that attention would change."""

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return x."""
        return x


def unattended(network: nn.Module, field: Field) -> None:
    """Leave attention out."""
    for part in list(network.modules()):
        for name, child in part.named_children():
            if isinstance(child, ATTENTION):
                setattr(part, name, Unattended())


def nothing(network: nn.Module, field: Field) -> None:
    """Leave the network as it is."""


NORMS: dict[str, Change] = {
    "local": nothing,
    "unattended": unattended,
    "group": nothing,
    "crop": nothing,
    "group_brain": brain,
    "layer": channels(centred=True),
    "rms": channels(centred=False),
    "standardised": filters(centred=True),
    "magnitude": filters(centred=False),
    "none": none,
}
