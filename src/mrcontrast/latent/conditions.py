"""The condition of a network: signals, and the place at which they enter it."""

from collections.abc import Mapping, Sequence
from typing import Self

import torch
from torch import Tensor, nn

from mrcontrast import keys
from mrcontrast.errors import UsageError
from mrcontrast.latent.codec import AutoencoderCodec
from mrcontrast.latent.signals import Signal
from mrcontrast.networks.padding import pad_to_multiple


class Placement:
    """Brings images in [0, 1] to the size at which a network takes its condition."""

    def place(self, image: Tensor, codec: AutoencoderCodec) -> Tensor:
        """Return images (B, C, *S), padded as the codec pads, in [-1, 1]."""
        return 2 * pad_to_multiple(image, codec.multiple) - 1

    def downsampling(self, codec: AutoencoderCodec) -> int:
        """Return the factor between the axes of the placed condition and of the latent."""
        return codec.factor


class AtImageSize(Placement):
    """Images at full size, for the embedder of a ControlNet.

    Source: Zhang et al. 2023, arXiv 2302.05543, section 3.2.
    """


class AtLatentSize(Placement):
    """Channels at the latent's size: latents as they are, images folded without loss.

    Source: Shi et al. 2016, arXiv 1609.05158, section 3.1, the other way round.
    """

    def place(self, image: Tensor, codec: AutoencoderCodec) -> Tensor:
        """Return (B, C * f ** dims, *S / f) in [-1, 1]."""
        return fold(super().place(image, codec), codec.factor)

    def downsampling(self, codec: AutoencoderCodec) -> int:
        """Return 1."""
        return 1


class Condition(nn.Module):
    """Signals as one tensor, for a ControlNet or as further channels of a denoiser.

    Args:
        signals: By name, in the order of their channels; two of a regression are UsageError.
        placement: Where they enter the network.
        embedder_channels: Channels of a ControlNet's embedder, which halves the axes once less
            than the list is long; a denoiser has none.
    """

    def __init__(
        self,
        signals: Mapping[str, Signal],
        placement: Placement,
        embedder_channels: Sequence[int] = (1,),
    ) -> None:
        super().__init__()
        self.signals, self.placement = dict(signals), placement
        self.embedder_channels = list(embedder_channels)
        regressors = [each.regressor for each in self.signals.values() if each.regressor]
        if len(regressors) > 1:
            raise UsageError(
                f"Expected at most one signal of a regression, got {len(regressors)} "
                "(stage.condition.signals). Leave the others out."
            )
        for regressor in regressors:
            self.regressor = regressor

    def attach(
        self,
        codec: AutoencoderCodec,
        source: Sequence[str],
        context_slices: int,
        optional: Sequence[str] = (),
    ) -> None:
        """Set contrasts and slices of all signals; UsageError if one, or the embedder, is unfit."""
        factor, found = self.placement.downsampling(codec), len(self.embedder_channels)
        for name, signal in self.signals.items():
            signal.attach(codec, source, context_slices, optional)
            if signal.at_latent_size and factor > 1:
                raise UsageError(
                    f"Expected a signal of the image's size, got {name} (stage.condition). Take "
                    "the placement mrcontrast.latent.conditions.AtLatentSize."
                )
        if found != factor.bit_length():
            raise UsageError(
                f"Expected {factor.bit_length()} stage.condition.embedder_channels, which "
                f"downsample {factor} times, got {found}. Set a list of that length."
            )

    def channels(self, codec: AutoencoderCodec) -> int:
        """Return the channels of the condition."""
        folded = (codec.factor // self.placement.downsampling(codec)) ** codec.spatial_dims
        signals = self.signals.values()
        return sum(s.channels(codec) * (1 if s.at_latent_size else folded) for s in signals)

    @property
    def guesses(self) -> bool:
        """Whether ``prepare`` adds a ``guess``, from which sampling can start."""
        return any(signal.guesses for signal in self.signals.values())

    @property
    def calls(self) -> int:
        """Calls of networks of its own for an image."""
        return sum(signal.calls for signal in self.signals.values())

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode: a regression is frozen."""
        return super().train(False)

    def compute(self, batch: keys.Batch, codec: AutoencoderCodec) -> keys.Batch:
        """Return the batch with the values of all signals; those that it has are kept."""
        for signal in self.signals.values():
            if signal.key not in batch:
                batch = {**batch, signal.key: signal.compute(batch, codec)}  # type: ignore[misc]
        return batch

    def prepare(self, batch: keys.Batch, codec: AutoencoderCodec) -> keys.Batch:
        """Return the batch with all results that its samples share, each computed once."""
        batch = self.compute(batch, codec)
        for signal in self.signals.values():
            batch = signal.prepare(batch, codec)
        return batch

    def forward(self, batch: keys.Batch, codec: AutoencoderCodec) -> Tensor:
        """Return the condition, (B, channels, ...), of a batch with the values of all signals."""
        parts = []
        for signal in self.signals.values():
            value = signal.value(batch)
            parts.append(value if signal.at_latent_size else self.placement.place(value, codec))
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def fold(image: Tensor, factor: int) -> Tensor:
    """Fold blocks of ``factor`` voxels along each axis of (B, C, *S) into channels.

    >>> fold(torch.arange(8.0).view(1, 1, 2, 4), 2)[0, :, 0].tolist()
    [[0.0, 2.0], [1.0, 3.0], [4.0, 6.0], [5.0, 7.0]]
    """
    dims = image.ndim - 2
    blocks = [part for size in image.shape[2:] for part in (size // factor, factor)]
    split = image.reshape(*image.shape[:2], *blocks)
    cells, within = range(2, 2 + 2 * dims, 2), range(3, 3 + 2 * dims, 2)
    return split.permute(0, 1, *within, *cells).flatten(1, 1 + dims)
