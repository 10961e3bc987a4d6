"""What a network is told of FLAIR: its pixels, its latent, or both."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from mrcontrast import keys
from mrcontrast.errors import UsageError
from mrcontrast.latent.codec import AutoencoderCodec
from mrcontrast.networks.padding import pad_to_multiple
from mrcontrast.networks.regressor import Regressor


class Condition(ABC):
    """Turns FLAIR into what a ControlNet's embedder takes, or a denoiser beside its noisy latent.

    Attributes:
        key: Name in a batch of what can be computed once for each item.
        encodes_flair: Whether FLAIR goes through the autoencoder.
        calls: How often it runs a network of its own for an image.
        guesses: Whether it prepares a ``guess`` at the T1w, from which a draw may begin.

    Args:
        in_channels: Channels of the condition.
        embedder_channels: The embedder's; it halves the axes once less than the list is long. One
            entry, whatever it is, means none: the condition has the latent's size.
    """

    key: ClassVar[str]
    encodes_flair: ClassVar[bool] = False
    calls: ClassVar[int] = 0
    guesses: ClassVar[bool] = False

    def __init__(self, in_channels: int, embedder_channels: Sequence[int] = (1,)) -> None:
        self.in_channels = in_channels
        self.embedder_channels = list(embedder_channels)

    def __call__(self, batch: keys.Batch, codec: AutoencoderCodec) -> Tensor:
        """Return the condition, (B, in_channels, ...), for a batch."""
        known: Tensor | None = batch.get(self.key)  # type: ignore[assignment]
        return self.present(self.compute(batch, codec) if known is None else known, codec)

    @abstractmethod
    def compute(self, batch: keys.Batch, codec: AutoencoderCodec) -> Tensor:
        """Return what ``key`` holds, from the batch's FLAIR (B, 1 + 2k, *S)."""

    @abstractmethod
    def present(self, value: Tensor, codec: AutoencoderCodec) -> Tensor:
        """Return the condition for what ``key`` holds."""

    def prepare(self, batch: keys.Batch, codec: AutoencoderCodec) -> keys.Batch:
        """Return the batch with all that draws of its images share, computed only once."""
        if self.key in batch:
            return batch
        return {**batch, self.key: self.compute(batch, codec)}  # type: ignore[misc]

    @abstractmethod
    def expected(self, codec: AutoencoderCodec, slices: int) -> tuple[int, int]:
        """Return the condition's channels, and its axes over those of the latent."""

    def check(self, codec: AutoencoderCodec, context_slices: int) -> None:
        """Refuse channels or an embedder that do not bring FLAIR to the latent's size.

        Raises:
            UsageError: They are off, where MONAI would broadcast or fail; or FLAIR would go
                through an autoencoder that has never seen any.
        """
        if self.encodes_flair and codec.contrasts and "flair" not in codec.contrasts:
            raise UsageError(
                "Expected an autoencoder of flair too, got one of "
                f"{', '.join(codec.contrasts)}. Train it with stage.contrasts=[t1w,flair], or "
                "take stage/condition=pixel."
            )
        expected = self.expected(codec, 1 + 2 * context_slices)
        found = (self.in_channels, 2 ** (len(self.embedder_channels) - 1))
        if found != expected:
            raise UsageError(
                f"Expected an embedder of {expected[0]} channels that downsamples {expected[1]} "
                f"times, got {found[0]} and {found[1]}. Set stage.condition.in_channels to "
                f"{expected[0]} and give stage.condition.embedder_channels "
                f"{expected[1].bit_length()} entries (without an embedder: 1)."
            )


class PixelCondition(Condition):
    """FLAIR pixels; the embedder brings them to the latent's size.

    Source: Zhang et al. 2023, arXiv 2302.05543, section 3.2.
    """

    key = keys.SOURCE

    def compute(self, batch: keys.Batch, codec: AutoencoderCodec) -> Tensor:
        """Return FLAIR as it is, (B, 1 + 2k, *S)."""
        return batch["source"]

    def present(self, value: Tensor, codec: AutoencoderCodec) -> Tensor:
        """Return FLAIR padded as the codec pads, mapped to [-1, 1]."""
        return 2 * pad_to_multiple(value, codec.multiple) - 1

    def expected(self, codec: AutoencoderCodec, slices: int) -> tuple[int, int]:
        """Return one channel a slice, and the codec's downsampling."""
        return slices, codec.factor


class LatentCondition(Condition):
    """The standardised latent of FLAIR; the autoencoder must have learnt FLAIR too."""

    key = keys.SOURCE_LATENT
    encodes_flair = True

    def compute(self, batch: keys.Batch, codec: AutoencoderCodec) -> Tensor:
        """Return the latents of the slices of FLAIR, stacked: (B, C * (1 + 2k), *S / f)."""
        flair = batch["source"]
        return torch.cat([codec.encode(part) for part in flair.split(1, dim=1)], dim=1)

    def present(self, value: Tensor, codec: AutoencoderCodec) -> Tensor:
        """Return the latents as they are."""
        return value

    def expected(self, codec: AutoencoderCodec, slices: int) -> tuple[int, int]:
        """Return the latent's channels for each slice, and no downsampling."""
        return slices * len(codec.mean), 1


class FoldedCondition(Condition):
    """FLAIR pixels folded into channels at the latent's size: nothing of FLAIR is lost.

    Source: Shi et al. 2016, arXiv 1609.05158, section 3.1, the other way round.
    """

    key = keys.SOURCE

    def compute(self, batch: keys.Batch, codec: AutoencoderCodec) -> Tensor:
        """Return FLAIR as it is, (B, 1 + 2k, *S)."""
        return batch["source"]

    def present(self, value: Tensor, codec: AutoencoderCodec) -> Tensor:
        """Return FLAIR padded as the codec pads, in [-1, 1], (B, (1 + 2k) * f ** dims, *S / f)."""
        return fold(2 * pad_to_multiple(value, codec.multiple) - 1, codec.factor)

    def expected(self, codec: AutoencoderCodec, slices: int) -> tuple[int, int]:
        """Return f ** dims channels for each slice, and no downsampling."""
        return slices * codec.factor**codec.spatial_dims, 1


class AnchoredCondition(Condition):
    """A latent to start from or to add to, the anchor, and the folded pixels of FLAIR beside it."""

    key = keys.ANCHOR

    @abstractmethod
    def image(self, flair: Tensor) -> Tensor:
        """Return the image (B, 1, *S) in [0, 1] whose latent is the anchor."""

    def anchor(self, value: Tensor, codec: AutoencoderCodec) -> Tensor:
        """Return the anchor, (B, C, *S / f), of a condition."""
        return value[:, : len(codec.mean)]

    def compute(self, batch: keys.Batch, codec: AutoencoderCodec) -> Tensor:
        """Return anchor and folded pixels, (B, C + (1 + 2k) * f ** dims, *S / f)."""
        flair = batch["source"]
        pixels = fold(2 * pad_to_multiple(flair, codec.multiple) - 1, codec.factor)
        return torch.cat([codec.encode(self.image(flair)), pixels], dim=1)

    def present(self, value: Tensor, codec: AutoencoderCodec) -> Tensor:
        """Return both as they are."""
        return value

    def expected(self, codec: AutoencoderCodec, slices: int) -> tuple[int, int]:
        """Return the latent's channels and f ** dims for each slice, and no downsampling."""
        return len(codec.mean) + slices * codec.factor**codec.spatial_dims, 1


class FlairAnchor(AnchoredCondition):
    """The latent of FLAIR as anchor; the autoencoder must have learnt FLAIR too."""

    encodes_flair = True

    def image(self, flair: Tensor) -> Tensor:
        """Return the slice itself of a slab (B, 1 + 2k, *S)."""
        return flair[:, flair.shape[1] // 2].unsqueeze(1)


class Regressed(Condition, nn.Module):
    """What holds a trained regression, frozen; mixed into the conditions that look at its image.

    Args:
        regressor: Frozen here.
        in_channels: Channels of the condition.
        embedder_channels: See ``Condition``.
    """

    calls = 1

    def __init__(
        self, regressor: Regressor, in_channels: int, embedder_channels: Sequence[int] = (1,)
    ) -> None:
        nn.Module.__init__(self)
        Condition.__init__(self, in_channels, embedder_channels)
        self.regressor = regressor.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> "Regressed":
        """Stay in evaluation mode: the regression is frozen."""
        return super().train(False)

    @torch.no_grad()
    def image(self, flair: Tensor) -> Tensor:
        """Return the regression's T1w image."""
        return self.regressor.image(flair)

    def check(self, codec: AutoencoderCodec, context_slices: int) -> None:
        """Refuse a regression that wants other neighbours; else as ``Condition.check``.

        Raises:
            UsageError: It does, or the channels are off.
        """
        if (theirs := self.regressor.context_slices) != context_slices:
            raise UsageError(
                f"Expected context_slices {theirs} as the regression has, got {context_slices}. "
                f"Add data.context_slices={theirs} or name another regression=RUN."
            )
        super().check(codec, context_slices)


class RegressionAnchor(Regressed, AnchoredCondition):
    """The latent of what a trained regression makes of FLAIR as anchor."""


class RegressedPixels(Regressed, PixelCondition):
    """FLAIR pixels, and beside them what a trained regression makes of FLAIR.

    The regression is to a ControlNet what an edge or depth detector is in Zhang et al. 2023,
    arXiv 2302.05543, section 4: a preprocessor of its condition.

    Args:
        regressor: As in ``Regressed``, like the next two.
        in_channels: As there.
        embedder_channels: As there.
        keep_detail: Add to a draw what the autoencoder loses of the regression's image, so that it
            blurs only what the draw changes in it, as in ``ResidualDiffusion``.
    """

    key = keys.REGRESSED
    guesses = True

    def __init__(
        self,
        regressor: Regressor,
        in_channels: int,
        embedder_channels: Sequence[int] = (1,),
        keep_detail: bool = True,
    ) -> None:
        super().__init__(regressor, in_channels, embedder_channels)
        self.keep_detail = keep_detail

    def compute(self, batch: keys.Batch, codec: AutoencoderCodec) -> Tensor:
        """Return FLAIR and the regression's image, (B, 2 + 2k, *S)."""
        return torch.cat([batch["source"], self.image(batch["source"])], dim=1)

    def prepare(self, batch: keys.Batch, codec: AutoencoderCodec) -> keys.Batch:
        """Return the batch with the regression's latent as ``guess``, and what is ``lost``."""
        batch = super().prepare(batch, codec)
        if "guess" in batch:
            return batch
        regressed = batch["regressed"][:, -1:]
        guess = codec.encode(regressed)
        if not self.keep_detail:
            return {**batch, "guess": guess}
        lost = regressed - codec.decode(guess, regressed.shape[2:])
        return {**batch, "guess": guess, "lost": lost}

    def expected(self, codec: AutoencoderCodec, slices: int) -> tuple[int, int]:
        """Return one channel a slice and one for the image, and the codec's downsampling."""
        return slices + 1, codec.factor


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
