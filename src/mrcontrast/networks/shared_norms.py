"""Share group norm statistics of a whole grid between its windows."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from mrcontrast.networks.lent_norms import LENDERS, group_norms, replaced_forward


class SharedNorms:
    """Gather the statistics of a network's group norms over windows and normalise with them.

    With statistics of its own, each window gets a contrast of its own: an empty corner's noise is
    brought to the same deviation as brain. Here the network first runs over all windows to gather
    (every voxel counts once, in its window's core), then again with what was gathered. The k-th
    pass makes the k-th norm exact, those behind it nearly so.

    Source: the idea of global statistics for tiles is from the "tiled VAE" of pkuliyi2015's
    multidiffusion-upscaler (2023); theirs come from a reduced image or layer by layer.
    """

    def __init__(self, network: nn.Module | None) -> None:
        self.norms = [] if network is None else group_norms(network)
        self.affine: dict[nn.GroupNorm, tuple[Tensor, Tensor]] = {}  # scale and shift, (B, C)
        self.sums: dict[nn.GroupNorm, tuple[float, Tensor, Tensor]] = {}
        self.core: Sequence[slice] | None = None

    def installed(self) -> AbstractContextManager[None]:
        """Let the norms use shared statistics within this block."""
        return replaced_forward(self.norms, self.normalise)

    def normalise(self, norm: nn.GroupNorm, x: Tensor) -> Tensor:
        """Normalise (B, C, *S) with what is known, and count it if a core is set."""
        if self.core is not None:
            self.count(norm, x)
        if norm not in self.affine:
            return nn.GroupNorm.forward(norm, x)
        shape = (*x.shape[:2], *[1] * (x.ndim - 2))
        scale, shift = (value.view(shape).to(x) for value in self.affine[norm])
        return torch.addcmul(shift, x, scale)

    def count(self, norm: nn.GroupNorm, x: Tensor) -> None:
        """Add the core of a window; all of it where a layer has flattened the axes."""
        assert self.core is not None
        if x.ndim - 2 == len(self.core):
            pairs = zip(self.core, x.shape[2:], strict=True)
            kept: Any = [slice(round(p.start * size), round(p.stop * size)) for p, size in pairs]
            x = x[(..., *kept)]
        var, mean = torch.var_mean(x, dim=list(range(2, x.ndim)), correction=0)
        var, mean, voxels = var.double(), mean.double(), float(x[0, 0].numel())
        known = self.sums.get(norm)
        total, squares = mean * voxels, (var + mean.square()) * voxels
        if known is not None:
            voxels, total, squares = known[0] + voxels, known[1] + total, known[2] + squares
        self.sums[norm] = (voxels, total, squares)

    def learn(self) -> float:
        """Use what was counted from now on, and count anew.

        Return the largest relative change of a norm's scale, infinite the first time.
        """
        change, lenders = 0.0, LENDERS.get()
        for norm, (voxels, total, squares) in self.sums.items():
            grouped = (len(total), norm.num_groups, -1)
            mean = (total / voxels).view(grouped).mean(-1, keepdim=True)
            var = (squares / voxels).view(grouped).mean(-1, keepdim=True) - mean.square()
            inverse = (var.clamp_min(0) + norm.eps).rsqrt().expand(total.view(grouped).shape)
            scale = inverse.reshape(total.shape) * norm.weight
            shift = norm.bias - mean.expand(total.view(grouped).shape).reshape(total.shape) * scale
            old = self.affine.get(norm)
            moved = torch.inf if old is None else float(((scale - old[0]) / scale).abs().nanmean())
            change = max(change, moved)
            lent = slice(None) if lenders is None else lenders
            self.affine[norm] = scale[lent], shift[lent]
        self.sums = {}
        return change
