"""What travels through the operators: one session in memory, and where it comes from."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mrcontrast.transforms.normalise import FittedNormaliser
from mrcontrast.volume import Volume


@dataclass
class Subject:
    """One session in memory; all arrays lie on one grid.

    Attributes:
        flair: Source contrast, raw or as far as the operators have come.
        t1w: Target contrast on the same grid.
        brain_mask: (X, Y, Z), bool, or None until an operator finds it.
        lesion_mask: (X, Y, Z), bool, or None.
        labels: (X, Y, Z), uint8 tissue labels, or None.
        tags: What is known of subject and scan.
        measures: What the operators measured.
        normalisers: "flair" and "t1w" to what scaled them, once they are scaled.
        sources: "flair", "t1w" and "mask" to the absolute path of the raw file, where there is one.
    """

    flair: Volume
    t1w: Volume
    brain_mask: np.ndarray | None = None
    lesion_mask: np.ndarray | None = None
    labels: np.ndarray | None = None
    tags: dict[str, Any] = field(default_factory=dict)
    measures: dict[str, Any] = field(default_factory=dict)
    normalisers: dict[str, FittedNormaliser] = field(default_factory=dict)
    sources: dict[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """A session that a source has found and not read yet; it is sent to worker processes.

    Attributes:
        subject: With its prefix, such as "sub-03".
        session: With its prefix, such as "ses-1", or None.
        site: Scanner or data set.
        origin: File or seed that it comes from, for messages.
        pair: Reads or makes the volumes.
    """

    subject: str
    session: str | None
    site: str
    origin: str
    pair: "Pair"

    @property
    def name(self) -> str:
        """Name of the session: "sub-03" or "sub-03_ses-1"."""
        return self.subject if self.session is None else f"{self.subject}_{self.session}"


@dataclass(frozen=True)
class Dropped:
    """A session that was left out: a row of ``dropped.tsv``.

    Attributes:
        subject: With its prefix.
        session: With its prefix, or None.
        operator: Class that refused it.
        reason: One line.
    """

    subject: str
    session: str | None
    operator: str
    reason: str


class Pair(Protocol):
    """Reads or makes the FLAIR and T1w of one session."""

    def load(self) -> Subject:
        """Return the session in memory.

        Raises:
            MrcontrastError: A file has a fault, or the two do not lie on one grid.
        """
        ...


class Source(Protocol):
    """Finds sessions without reading voxels."""

    def index(self) -> tuple[list[Entry], list[Dropped]]:
        """Return what can be tried, and what cannot be for a reason already known."""
        ...

    @property
    def folders(self) -> list[str]:
        """Folders of raw data, which are never written to."""
        ...


class Operator(Protocol):
    """One step on one session; the recipe gives their order."""

    def __call__(self, subject: Subject) -> Subject:
        """Return the session one step further.

        Raises:
            MrcontrastError: The session has a fault; it is dropped with this reason.
        """
        ...
