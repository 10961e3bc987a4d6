"""The interface of a translator, and a translated volume."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from mrcontrast.inference.volume_sampler import Progress
from mrcontrast.storage.volume import Volume

Volumes = Volume | Sequence[Volume | None]  # None for an optional source that is absent


@dataclass(frozen=True)
class Translation:
    """A synthetic volume and how it came about.

    Attributes:
        mean: Mean of the draws, on the grid of the input, in [0, 1], 0 outside the brain.
        std: Standard deviation of the draws, on the same grid; None for one draw.
        normaliser: What the input was normalised with, ``FittedNormaliser.to_dict()``, by contrast
            if there are several; None for input that was normalised before.
        seconds: Time that it took, reading and writing left out.
        tiles: Tiles that were used, "autoencoder,denoiser" in voxels, 0 for whole; None if nobody
            asked for them.
        cost: What a sidecar says of costs, see ``mrcontrast.inference.cost``; None if unknown.
        remarks: Remarks on the output for a reader, one sentence each.
        brain: (X, Y, Z), bool, the brain on the grid of the input.
    """

    mean: Volume
    std: Volume | None
    normaliser: dict[str, Any] | None
    seconds: float
    tiles: str | None = None
    cost: dict[str, Any] | None = None
    remarks: tuple[str, ...] = ()
    brain: np.ndarray | None = None


class Translator(Protocol):
    """What translates volumes: a trained stage, or any other system behind the same face.

    Attributes:
        source: Contrasts that are read, each with the name of the normaliser that prepared volumes
            of it must have; None if it does not matter.
        target: Contrast that is made.
        progress: Called with the share of a volume that is done, in [0, 1]; None for no report.
    """

    target: str
    progress: Progress | None

    @property
    def source(self) -> Mapping[str, str | None]:
        """Contrasts that are read; see the attributes."""

    def tags_for(self, known: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the tags, of those known of a volume and of a prompt, that decide its output."""

    def translate(
        self,
        volumes: Volumes,
        mask: np.ndarray | None,
        seed: int,
        tags: Mapping[str, Any] | None = None,
    ) -> Translation:
        """Translate the volumes of one session as a scanner gives them, in the order of sources."""

    def translate_prepared(
        self,
        volumes: Volumes,
        mask: np.ndarray,
        seed: int,
        scanned_slices: tuple[int, int] | None = None,
        tags: Mapping[str, Any] | None = None,
    ) -> Translation:
        """Translate volumes of a prepared data set: normalised, on the model's spacing."""

    def describe(self) -> dict[str, Any]:
        """Return model and options as JSON; equal descriptions give equal volumes."""


def optional_of(translator: Translator) -> tuple[str, ...]:
    """Return the sources that a translator can do without."""
    return tuple(getattr(translator, "optional", ()))


def read_by(translator: Translator) -> dict[str, str | None]:
    """Return the sources that are read: all but those that the options leave out."""
    sampler = getattr(translator, "sampler", None)
    without = () if sampler is None else sampler.options.without
    return {name: fit for name, fit in translator.source.items() if name not in without}
