"""What travels through the operators: one session in memory, and where it comes from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from mrcontrast.errors import MrcontrastError
from mrcontrast.storage.volume import Volume
from mrcontrast.transforms.normalise import FittedNormaliser

FAULT, BROKEN, LEFT_OUT = KINDS = ("fault", "broken", "left out")


@dataclass
class Subject:
    """One session in memory; masks and labels lie on the grid of the FLAIR.

    Attributes:
        flair: Source contrast, raw or as far as the operators have come.
        t1w: Target contrast, on the same grid unless the source was told to allow another one.
        brain_mask: (X, Y, Z), bool, or None until an operator finds it.
        lesion_mask: (X, Y, Z), bool, or None.
        labels: (X, Y, Z), uint8 tissue labels, or None.
        tags: What is known of subject and scan.
        measures: What the operators measured, by name.
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
        subject: With its prefix, or what stands in its place where no subject is known.
        session: With its prefix, or None.
        operator: Class that refused it.
        reason: One line.
        measure: What was measured, such as "flair_snr"; None for a fault without a number.
        value: What it was.
        threshold: What it should have been, such as ">= 8".
        kind: FAULT of the data; BROKEN operator, and the session is tried again in the next run;
            LEFT_OUT because the recipe says so.
    """

    subject: str
    session: str | None
    operator: str
    reason: str
    measure: str | None = None
    value: str | float | None = None
    threshold: str | None = None
    kind: str = FAULT

    @property
    def name(self) -> str:
        """Name of the session: "sub-03" or "sub-03_ses-1"."""
        return self.subject if self.session is None else f"{self.subject}_{self.session}"


@dataclass(frozen=True)
class Remark:
    """What a person should look at, although nothing was left out for it.

    Attributes:
        item: Session or sessions.
        operator: Who noticed.
        measure: What was measured.
        value: What it was.
        threshold: Beyond which it is said.
        text: One line.
    """

    item: str
    operator: str
    measure: str
    value: float
    threshold: str
    text: str


class RefusedError(MrcontrastError):
    """An operator's decision against a session, with the number that it rests on.

    Args:
        message: "Expected <what>, got <what>. <what to do>."
        measure: What was measured.
        value: What it was.
        threshold: What it should have been, such as ">= 8".
    """

    def __init__(self, message: str, measure: str, value: str | float, threshold: str) -> None:
        super().__init__(message)
        self.measure, self.value, self.threshold = measure, value, threshold


class Pair(Protocol):
    """Reads or makes the FLAIR and T1w of one session."""

    def load(self) -> Subject:
        """Return the session in memory.

        Raises:
            MrcontrastError: A file has a fault, or the two do not lie on one grid.
        """
        ...

    def identity(self) -> Any:  # noqa: ANN401 - whatever JSON can hold
        """Return what decides the result of ``load``: hashes of files, or seeds."""
        ...

    @property
    def files(self) -> dict[str, Path]:
        """Raw files by "flair", "t1w", "brain_mask" and "lesion_mask"; none if they are made."""
        ...


class Source(Protocol):
    """Finds sessions without reading voxels."""

    def index(self) -> tuple[list[Entry], list[Dropped]]:
        """Return what can be tried, and what cannot be for a reason already known."""
        ...

    @property
    def remarks(self) -> Sequence[Remark]:
        """What a person should look at, as the last ``index`` has found it."""
        ...

    @property
    def folders(self) -> list[str]:
        """Folders of raw data, which are never written to."""
        ...

    @property
    def wanted(self) -> str:
        """What is looked for, in words: folder and patterns."""
        ...


class Operator(Protocol):
    """One step on one session; the recipe gives their order."""

    def __call__(self, subject: Subject) -> Subject:
        """Return the session one step further.

        Raises:
            MrcontrastError: The session has a fault; it is dropped with this reason.
        """
        ...


@runtime_checkable
class Inspector(Protocol):
    """A step that looks at the files of a session before their voxels are read."""

    def inspect(self, files: Mapping[str, Path]) -> dict[str, Any]:
        """Return measures of the files.

        Raises:
            MrcontrastError: A file has a fault; the session is dropped with this reason.
        """
        ...


class Selection(Protocol):
    """Decides by name, before anything is read, which sessions are wanted."""

    def choose(
        self, entries: list[Entry], refused: Sequence[Dropped] = ()
    ) -> tuple[list[Entry], list[Dropped]]:
        """Return the sessions that stay, and all others: refused before, or left out now."""
        ...
