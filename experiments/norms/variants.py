"""What normalises a network: the variants that are compared, put into MONAI's networks in place."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm
from torch.nn.utils.parametrize import register_parametrization

LEAKY_GAIN = 2**0.5
CONVOLUTIONS = (nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose2d, nn.ConvTranspose3d)


class VoxelNorm(nn.Module):
    """Layer norm over the channels of each voxel; ``centred`` False leaves the mean (RMS norm)."""

    def __init__(self, channels: int, centred: bool, eps: float = 1e-5) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((channels,), (1 + eps) ** 0.5))
        self.shift = nn.Parameter(torch.zeros(channels))
        self.centred, self.eps = centred, eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, *S)."""
        last = x.movedim(1, -1)
        shape = (x.shape[1],)
        if self.centred:
            return F.layer_norm(last, shape, self.scale, self.shift, self.eps).movedim(-1, 1)
        return (F.rms_norm(last, shape, self.scale, self.eps) + self.shift).movedim(-1, 1)


class Affine(nn.Module):
    """No norm: a scale and a shift for each channel."""

    def __init__(self, channels: int, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((channels,), scale))
        self.shift = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Scale and shift (B, C, *S)."""
        shape = (-1, *[1] * (x.ndim - 2))
        return torch.addcmul(self.shift.view(shape), x, self.scale.view(shape))


class Standardised(nn.Module):
    """Weights of zero mean and unit norm for each output channel, times a gain.

    Source: Qiao et al. 2019, arXiv 1903.10520; centred False: Karras et al. 2023, "EDM2",
    arXiv 2312.02696, section 2.3.
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


class Field:
    """The brain mask of the batch at hand, for norms that take it."""

    mask: Tensor | None = None


class BrainGroupNorm(nn.Module):
    """Group norm with the statistics of brain voxels alone; 0 elsewhere."""

    def __init__(self, norm: nn.GroupNorm, field: Field) -> None:
        super().__init__()
        self.norm, self.field = norm, [field]

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, *S) under the mask of the field, max-pooled to its size."""
        mask = self.field[0].mask
        assert mask is not None
        pool = F.adaptive_max_pool2d if mask.ndim == 4 else F.adaptive_max_pool3d
        if x.ndim == mask.ndim:
            inside = pool(mask, x.shape[2:])
        else:  # attention has flattened the axes
            factor = round((mask[0, 0].numel() / x.shape[2]) ** (1 / (mask.ndim - 2)))
            inside = pool(mask, [size // factor for size in mask.shape[2:]]).flatten(2)
        groups = self.norm.num_groups
        split = x.unflatten(1, (groups, -1))
        weight = inside.unsqueeze(1)
        axes = list(range(2, split.ndim))
        count = weight.sum(axes, keepdim=True).clamp_min(1) * split.shape[2]
        mean = (split * weight).sum(axes, keepdim=True) / count
        var = ((split - mean).square() * weight).sum(axes, keepdim=True) / count
        normal = ((split - mean) * (var + self.norm.eps).rsqrt()).flatten(1, 2)
        shape = (-1, *[1] * (x.ndim - 2))
        return (normal * self.norm.weight.view(shape) + self.norm.bias.view(shape)) * inside


class Cropped(nn.Module):
    """Run a U-Net on the box of what is not 0, widened until that fills ``share`` of it."""

    def __init__(self, network: nn.Module, factor: int, share: float = 0.45) -> None:
        super().__init__()
        self.network, self.factor, self.share = network, factor, share

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, 1, *S), 0 outside the boxes."""
        result = x.new_zeros(len(x), 1, *x.shape[2:])
        for index, image in enumerate(x):
            box, target = self.box(image)
            part = image[(slice(None), *box)]
            missing = [goal - size for goal, size in zip(target, part.shape[1:], strict=True)]
            sides = [side for gap in reversed(missing) for side in (gap // 2, gap - gap // 2)]
            drawn = self.network(F.pad(part, sides).unsqueeze(0))[0]
            inner = [slice(gap // 2, gap // 2 + n) for gap, n in zip(missing, part.shape[1:], strict=True)]
            result[(index, slice(None), *box)] = drawn[(slice(None), *inner)].to(result)
        return result

    def box(self, image: Tensor) -> tuple[list[slice], list[int]]:
        """Return where (C, *S) is not 0, and the axes of the field to place it in."""
        found = (image > 0).any(0)
        spans = []
        for axis in range(found.ndim):
            others = [other for other in range(found.ndim) if other != axis]
            hits = found.any(dim=others[0]) if len(others) == 1 else found.amax(dim=others)
            hits = hits.nonzero().flatten().tolist() or [0]
            spans.append(slice(hits[0], hits[-1] + 1))
        sizes = [span.stop - span.start for span in spans]
        filled = float(found.sum()) / max(1, torch.tensor(sizes).prod().item())
        grow = max(1.0, filled / self.share) ** (1 / len(sizes))
        multiple = self.factor
        return spans, [-(-max(round(size * grow), size) // multiple) * multiple for size in sizes]


def replace(module: nn.Module, make: Callable[[nn.GroupNorm], nn.Module]) -> None:
    """Put another norm in the place of each group norm, in place."""
    for name, child in module.named_children():
        if isinstance(child, nn.GroupNorm):
            setattr(module, name, make(child))
        else:
            replace(child, make)


def add_biases(module: nn.Module, deviation: float | None = None) -> None:
    """Give a bias to the convolutions that have none, or the brightness of a flat patch is lost."""
    for part in module.modules():
        if isinstance(part, CONVOLUTIONS + TRANSPOSED) and part.bias is None:
            bias = torch.empty(part.out_channels)
            fan_in = part.weight[0].numel() if isinstance(part, CONVOLUTIONS) else part.in_channels
            part.bias = nn.Parameter(bias)
            if deviation is None:
                nn.init.uniform_(bias, -(fan_in**-0.5), fan_in**-0.5)
            else:
                nn.init.normal_(bias, std=deviation)


def voxel(
    centred: bool, deviation: float | None = None, eps: float = 1e-5
) -> Callable[[nn.Module, Field], None]:
    def change(network: nn.Module, field: Field) -> None:
        add_biases(network, deviation)
        replace(network, lambda norm: VoxelNorm(norm.num_channels, centred, eps))

    return change


def brain(network: nn.Module, field: Field) -> None:
    replace(network, lambda norm: BrainGroupNorm(norm, field))


def standardised(centred: bool) -> Callable[[nn.Module, Field], None]:
    """Return what leaves the norms out and standardises the weights of convolutions."""

    def change(network: nn.Module, field: Field) -> None:
        replace(network, lambda norm: Affine(norm.num_channels, LEAKY_GAIN))
        for name, part in list(network.named_modules()):
            if not isinstance(part, CONVOLUTIONS + TRANSPOSED) or part.out_channels == 1:
                continue
            if "quant" not in name and part.weight.any():  # what starts at 0 stays as it is
                axis = 0 if isinstance(part, CONVOLUTIONS) else 1
                register_parametrization(part, "weight", Standardised(axis, centred))

    return change


def weight(network: nn.Module, field: Field) -> None:
    """Return weight-normalised convolutions without a norm; a layer norm stays before attention."""
    kaiming = type(network).__name__ == "DynUNet"

    def make(norm: nn.GroupNorm) -> nn.Module:
        return nn.Identity()

    for part in network.modules():
        if "Attention" in type(part).__name__ and isinstance(getattr(part, "norm", None), nn.GroupNorm):
            part.norm = VoxelNorm(part.norm.num_channels, True)
    replace(network, make)
    add_biases(network)
    for name, part in list(network.named_modules()):
        if isinstance(part, CONVOLUTIONS + TRANSPOSED) and "quant" not in name and part.weight.any():
            weight_norm(part, dim=0 if isinstance(part, CONVOLUTIONS) else 1)
            if not kaiming:
                part.parametrizations.weight.original0.data.fill_(1.0)


def none(network: nn.Module, field: Field) -> None:
    """Leave the norms out, but for a layer norm before attention."""
    for part in network.modules():
        if "Attention" in type(part).__name__ and isinstance(getattr(part, "norm", None), nn.GroupNorm):
            part.norm = VoxelNorm(part.norm.num_channels, True)
    add_biases(network)
    replace(network, lambda norm: nn.Identity())


def batch(network: nn.Module, field: Field) -> None:
    """Statistics over the batch; those of inference are constants."""
    kind = nn.BatchNorm3d if any(isinstance(m, nn.Conv3d) for m in network.modules()) else nn.BatchNorm2d
    replace(network, lambda norm: kind(norm.num_channels))


def nothing(network: nn.Module, field: Field) -> None:
    """Leave the network as it is."""


NORMS: dict[str, Any] = {
    "group": nothing,
    "local": nothing,
    "group_brain": brain,
    "crop": nothing,
    "layer": voxel(True),
    "rms": voxel(False),
    "layer_wide": voxel(True, 0.5),
    "standardised": standardised(True),
    "magnitude": standardised(False),
    "soft": voxel(True, None, 1.0),
    "soft_rms": voxel(False, None, 1.0),
    "weight": weight,
    "none": none,
    "batch": batch,
}
