"""Feature-wise modulation: blocks of a network that listen to a context."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from monai.networks.blocks.convolutions import ResidualUnit
from monai.networks.blocks.dynunet_block import UnetBasicBlock, UnetResBlock
from torch import Tensor, nn

from mrcontrast.errors import UsageError

BLOCKS = (UnetBasicBlock, UnetResBlock, ResidualUnit)
HIDDEN = 64


class Film(nn.Module):
    """Scale and shift the features of each block of a network by a context.

    Both begin as the identity. Outside ``under`` the network is as it was.

    Args:
        network: Its blocks, those of MONAI's U-Nets, get hooks.
        tokens: Of a context, N.
        width: Of a token, D; a token of unit variance moves each hidden unit by about 1 from the
            start, so that its effect is learnt as fast as the image.

    Raises:
        UsageError: The network has no such block.

    Source: Perez et al. 2018, arXiv 1709.07871, eq. 2.
    """

    def __init__(self, network: nn.Module, tokens: int, width: int) -> None:
        super().__init__()
        blocks = [part for part in network.modules() if isinstance(part, BLOCKS)]
        if not blocks:
            raise UsageError(
                f"Expected a network with blocks of MONAI's U-Nets for a prompt of tags, got a "
                f"{type(network).__name__}. Take stage/prompt=null or another network."
            )
        mixing = nn.Linear(tokens * width, HIDDEN)
        nn.init.normal_(mixing.weight, std=width**-0.5)
        self.shared = nn.Sequential(mixing, nn.SiLU())
        self.heads = nn.ModuleList(nn.Linear(HIDDEN, 2 * channels_of(block)) for block in blocks)
        self.current: list[Tensor] = []
        for number, block in enumerate(blocks):
            block.register_forward_hook(partial(self.modulate, number))
        for parameter in self.heads.parameters():
            nn.init.zeros_(parameter)

    @contextmanager
    def under(self, context: Tensor) -> Iterator[None]:
        """Let the blocks listen to a context (B, N, D) within this block of code."""
        hidden = self.shared(context.flatten(1))
        self.current = [head(hidden) for head in self.heads]
        try:
            yield
        finally:
            self.current = []

    def modulate(self, number: int, block: nn.Module, given: Any, features: Tensor) -> Tensor:  # noqa: ANN401
        """Return the features (B, C, *S) of a block, scaled and shifted."""
        if not self.current:
            return features
        values = self.current[number].to(features)
        values = values.view(*values.shape, *[1] * (features.ndim - 2))
        scale, shift = values.chunk(2, dim=1)
        return features * (1 + scale) + shift


def channels_of(block: nn.Module) -> int:
    """Return the channels of a block's output."""
    last = [part for part in block.modules() if isinstance(part, (nn.Conv2d, nn.Conv3d))]
    return last[-1 if isinstance(block, UnetBasicBlock) else 0].out_channels
