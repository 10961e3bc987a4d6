"""What a ControlNet is told of FLAIR: its pixels, or its latent."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from mrcontrast import keys
from mrcontrast.errors import UsageError
from mrcontrast.latents import AutoencoderCodec, pad_to_multiple


class Condition(ABC):
    """Turns FLAIR into what the ControlNet's embedder takes, and knows the embedder's sizes.

    Attributes:
        key: Name in a batch of what can be computed once for each item.

    Args:
        in_channels: Channels that the embedder takes.
        embedder_channels: Its channels; it halves the axes once less than the list is long.
    """

    key: ClassVar[str]

    def __init__(self, in_channels: int, embedder_channels: Sequence[int]) -> None:
        self.in_channels = in_channels
        self.embedder_channels = list(embedder_channels)

    def __call__(self, batch: keys.Batch, codec: AutoencoderCodec) -> Tensor:
        """Return the embedder's input, (B, in_channels, ...), for a batch."""
        known: Tensor | None = batch.get(self.key)  # type: ignore[assignment]
        return self.present(self.compute(batch, codec) if known is None else known, codec)

    @abstractmethod
    def compute(self, batch: keys.Batch, codec: AutoencoderCodec) -> Tensor:
        """Return what ``key`` holds, from the batch's FLAIR (B, 1 + 2k, *S)."""

    @abstractmethod
    def present(self, value: Tensor, codec: AutoencoderCodec) -> Tensor:
        """Return the embedder's input for what ``key`` holds."""

    @abstractmethod
    def expected(self, codec: AutoencoderCodec, slices: int) -> tuple[int, int]:
        """Return the channels and the downsampling that the embedder must have."""

    def check(self, codec: AutoencoderCodec, context_slices: int) -> None:
        """Refuse an embedder that does not bring FLAIR to the latent's size.

        Raises:
            UsageError: Its channels or its downsampling are off; MONAI would broadcast or fail.
        """
        expected = self.expected(codec, 1 + 2 * context_slices)
        found = (self.in_channels, 2 ** (len(self.embedder_channels) - 1))
        if found != expected:
            raise UsageError(
                f"Expected an embedder of {expected[0]} channels that downsamples {expected[1]} "
                f"times, got {found[0]} and {found[1]}. Set stage.condition.in_channels and give "
                "stage.condition.embedder_channels another length."
            )


class PixelCondition(Condition):
    """FLAIR pixels; the embedder brings them to the latent's size.

    Source: Zhang et al. 2023, arXiv 2302.05543, section 3.2.
    """

    key = keys.FLAIR

    def compute(self, batch: keys.Batch, codec: AutoencoderCodec) -> Tensor:
        """Return FLAIR as it is, (B, 1 + 2k, *S)."""
        return batch["flair"]

    def present(self, value: Tensor, codec: AutoencoderCodec) -> Tensor:
        """Return FLAIR padded as the codec pads, mapped to [-1, 1]."""
        return 2 * pad_to_multiple(value, codec.multiple) - 1

    def expected(self, codec: AutoencoderCodec, slices: int) -> tuple[int, int]:
        """Return one channel a slice, and the codec's downsampling."""
        return slices, codec.factor


class LatentCondition(Condition):
    """The standardised latent of FLAIR; the autoencoder must have learnt FLAIR too."""

    key = keys.FLAIR_LATENT

    def compute(self, batch: keys.Batch, codec: AutoencoderCodec) -> Tensor:
        """Return the latents of the slices of FLAIR, stacked: (B, C * (1 + 2k), *S / f)."""
        flair = batch["flair"]
        return torch.cat([codec.encode(part) for part in flair.split(1, dim=1)], dim=1)

    def present(self, value: Tensor, codec: AutoencoderCodec) -> Tensor:
        """Return the latents as they are."""
        return value

    def expected(self, codec: AutoencoderCodec, slices: int) -> tuple[int, int]:
        """Return the latent's channels for each slice, and no downsampling."""
        return slices * len(codec.mean), 1
