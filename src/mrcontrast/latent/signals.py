"""Inputs of a conditioned network, each computed once for an item."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from mrcontrast import keys
from mrcontrast.errors import UsageError
from mrcontrast.latent.codec import AutoencoderCodec
from mrcontrast.networks.regressor import Regressor


class Signal(ABC):
    """One input of a condition: values with the axes of the image, or of the latent.

    The autoencoder computes those ``at_latent_size``. The last three attributes hold once it is
    attached.
    """

    key: ClassVar[str]  # name of its values in a batch and in a latent cache
    at_latent_size: ClassVar[bool] = False
    encoded_sources: ClassVar[slice] = slice(0)  # those that the autoencoder must be trained on
    calls: ClassVar[int] = 0  # of its own network for an image
    guesses: ClassVar[bool] = False  # whether ``prepare`` adds a ``guess`` of the target's latent
    regressor: Regressor | None = None  # frozen network that it runs
    sources = 1  # number of contrasts
    slices = 1  # of each source, 1 + 2k
    optional: tuple[int, ...] = ()  # places of the optional sources

    def attach(
        self,
        codec: AutoencoderCodec,
        source: Sequence[str],
        context_slices: int,
        optional: Sequence[str] = (),
    ) -> None:
        """Set the sources and slices of the stage; UsageError if its parts take others."""
        self.sources, self.slices = len(source), 1 + 2 * context_slices
        self.optional = keys.optional_rows(source, optional)
        known = list(codec.contrasts or ())
        wanted = source[self.encoded_sources] if known else ()
        if missing := [name for name in wanted if name not in known]:
            raise UsageError(
                f"Expected an autoencoder of {missing[0]} too, got one of {', '.join(known)}. "
                f"Train it with stage.contrasts=[{','.join([*known, *missing])}], or take "
                "stage/condition=pixel."
            )
        if self.regressor is not None:
            check_regressor(self.regressor, source, context_slices, optional)

    def channels(self, codec: AutoencoderCodec) -> int:
        """Return the channels of its values: those of one latent, or of one image."""
        return len(codec.mean) if self.at_latent_size else 1

    @abstractmethod
    def compute(self, batch: keys.Batch, codec: AutoencoderCodec) -> Tensor:
        """Return its values for the source of a batch, (B, channels, ...)."""

    def value(self, batch: keys.Batch) -> Tensor:
        """Return its values in a batch, as they enter the network, (B, channels, ...)."""
        return batch[self.key]  # type: ignore[literal-required]

    def prepare(self, batch: keys.Batch, codec: AutoencoderCodec) -> keys.Batch:
        """Return the batch, which holds its values, with the other results that samples share."""
        return batch


class Pixels(Signal):
    """The source images, (B, N * (1 + 2k), *S) in [0, 1], and a flag for each optional one."""

    key = keys.SOURCE

    def channels(self, codec: AutoencoderCodec) -> int:
        """Return one channel for each slice of each source, and for each flag."""
        return self.sources * self.slices + len(self.optional)

    def compute(self, batch: keys.Batch, codec: AutoencoderCodec) -> Tensor:
        """Return the source."""
        return batch["source"]

    def value(self, batch: keys.Batch) -> Tensor:
        """Return the source and its flags."""
        return keys.flagged(batch["source"], batch.get("present"), self.optional)


class Latent(Signal):
    """The standardised latents of the source, (B, C * N * (1 + 2k), *S / f)."""

    key = keys.SOURCE_LATENT
    at_latent_size = True
    encoded_sources = slice(None)

    def channels(self, codec: AutoencoderCodec) -> int:
        """Return the latent's channels for each slice of each source."""
        return len(codec.mean) * self.sources * self.slices

    def compute(self, batch: keys.Batch, codec: AutoencoderCodec) -> Tensor:
        """Encode the slices of the source."""
        return torch.cat([codec.encode(part) for part in batch["source"].split(1, dim=1)], dim=1)


class SourceAnchor(Signal):
    """The latent of the first source, (B, C, *S / f), to start from or to add to."""

    key = keys.ANCHOR
    at_latent_size = True
    encoded_sources = slice(1)

    def compute(self, batch: keys.Batch, codec: AutoencoderCodec) -> Tensor:
        """Encode the first source without its neighbouring slices."""
        return codec.encode(keys.middle_slices(batch["source"], self.sources)[0])


class RegressionAnchor(Signal):
    """The latent of a trained regression's image, (B, C, *S / f), to add to; it is frozen here."""

    key = keys.ANCHOR
    at_latent_size = True
    calls = 2  # for its latent, and for the detail that the latent lacks
    regressor: Regressor

    def __init__(self, regressor: Regressor) -> None:
        self.regressor = regressor.eval().requires_grad_(False)

    @torch.no_grad()
    def compute(self, batch: keys.Batch, codec: AutoencoderCodec) -> Tensor:
        """Encode the image of the regression."""
        return codec.encode(self.regressor.image_of(batch))

    @torch.no_grad()
    def prepare(self, batch: keys.Batch, codec: AutoencoderCodec) -> keys.Batch:
        """Return the batch with the detail of the image that its latent lacks as ``lost``."""
        if "lost" in batch:
            return batch
        image = self.regressor.image_of(batch)
        return {**batch, "lost": lost(image, batch["anchor"], codec)}


class Regression(Signal):
    """The image of a trained regression, (B, 1, *S) in [0, 1].

    The regression is to a ControlNet what an edge or depth detector is in Zhang et al. 2023,
    arXiv 2302.05543, section 4: a preprocessor of its condition.

    Args:
        regressor: Frozen here.
        keep_detail: Add to a sample the detail of this image that the autoencoder loses, so that
            only the changes of the sample lose detail, as in ``ResidualDiffusion``.
    """

    key = keys.REGRESSED
    calls = 1
    guesses = True
    regressor: Regressor

    def __init__(self, regressor: Regressor, keep_detail: bool = True) -> None:
        self.regressor = regressor.eval().requires_grad_(False)
        self.keep_detail = keep_detail

    @torch.no_grad()
    def compute(self, batch: keys.Batch, codec: AutoencoderCodec) -> Tensor:
        """Run the regression."""
        return self.regressor.image_of(batch)

    def prepare(self, batch: keys.Batch, codec: AutoencoderCodec) -> keys.Batch:
        """Return the batch with the image's latent as ``guess`` and its detail as ``lost``."""
        if "guess" in batch:
            return batch
        guessed: keys.Batch = {**batch, "guess": codec.encode(batch["regressed"])}
        if self.keep_detail:
            guessed["lost"] = lost(batch["regressed"], guessed["guess"], codec)
        return guessed


def lost(image: Tensor, latent: Tensor, codec: AutoencoderCodec) -> Tensor:
    """Return the detail of an image (B, 1, *S) that its latent (B, C, *S / f) lacks."""
    return image - codec.decode(latent, image.shape[2:])


def check_regressor(
    regressor: Regressor, source: Sequence[str], context_slices: int, optional: Sequence[str]
) -> None:
    """Check that a regression takes the contrasts and slices of the stage that runs it."""
    if (theirs := regressor.context_slices) != context_slices:
        raise UsageError(
            f"Expected context_slices {theirs} as the regression has, got {context_slices}. "
            f"Add data.context_slices={theirs} or name another regression=RUN."
        )
    if regressor.source != tuple(source):
        raise UsageError(
            f"Expected the source {', '.join(regressor.source)} of the regression, got "
            f"{', '.join(source)}. Set data.source or name another regression=RUN."
        )
    if set(regressor.optional) != set(optional):
        names = ",".join(regressor.optional)
        raise UsageError(
            f"Expected the optional sources {names or 'none'} of the regression, got "
            f"{', '.join(optional) or 'none'}. Set data.optional=[{names}] or name another "
            "regression=RUN."
        )
