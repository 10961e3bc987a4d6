"""Sessions before and after preparation, and the interface of sources."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mrcontrast.preparation.subject import Subject

FAULT, BROKEN, LEFT_OUT = "fault", "broken", "left out"


def natural(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts numbers by their value.

    >>> sorted(["sub-10", "sub-9"], key=natural)
    ['sub-9', 'sub-10']
    """
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


@dataclass(frozen=True)
class Session:
    """Subject and session, or None, with their prefixes, such as "sub-03" and "ses-1"."""

    subject: str
    session: str | None

    @property
    def name(self) -> str:
        """Name of the session: "sub-03" or "sub-03_ses-1"."""
        return self.subject if self.session is None else f"{self.subject}_{self.session}"


@dataclass(frozen=True)
class Entry(Session):
    """A session that a source has found and not read yet; worker processes receive it."""

    site: str  # scanner or data set
    origin: str  # file or seed that it comes from, for messages
    pair: "Pair"  # reads or generates the volumes


@dataclass(frozen=True)
class Dropped(Session):
    """A session that was left out: a row of ``dropped.tsv``.

    Attributes:
        operator: Class that refused it.
        reason: One line.
        measure: Name of the deciding value, such as "flair_snr"; None for other faults.
        threshold: Accepted values, such as ">= 8".
        kind: FAULT of the data; BROKEN operator, so that the next run tries again; LEFT_OUT by
            the recipe's choice.
    """

    operator: str
    reason: str
    measure: str | None = None
    value: str | float | None = None
    threshold: str | None = None
    kind: str = FAULT


@dataclass(frozen=True)
class Remark:
    """A finding to check, although nothing was left out: a row of ``remarks.tsv``."""

    item: str  # session or sessions
    operator: str
    measure: str
    value: float
    threshold: str  # values of the measure without a remark
    text: str


class Pair(Protocol):
    """Reads or generates the images of one session."""

    def load(self) -> Subject:
        """Return the session; raise MrcontrastError for a faulty file or different grids."""
        ...

    def identity(self) -> Any:  # noqa: ANN401 - whatever JSON can hold
        """Return all inputs of ``load``: hashes of files, or seeds."""
        ...

    @property
    def files(self) -> dict[str, Path]:
        """Raw files by contrast, "brain_mask" and "lesion_mask"; empty if generated."""
        ...


class Source(Protocol):
    """Finds sessions without reading voxels.

    Attributes:
        remarks: Findings of the last ``index``.
        folders: Folders of raw data, which are never written to.
        wanted: Folder and patterns, in words.
    """

    remarks: Sequence[Remark]
    folders: list[str]
    wanted: str

    def index(self) -> tuple[list[Entry], list[Dropped]]:
        """Return the sessions to prepare, and those without all files, with the reason."""
        ...
