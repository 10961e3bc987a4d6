"""Which sessions are wanted, by name and tag, before a voxel is read."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from mrcontrast.preparation.subject import LEFT_OUT, Dropped, Entry


@dataclass(frozen=True)
class Select:
    """Keep the sessions that fit; the others are listed in ``dropped.tsv`` and are no fault.

    Attributes:
        subjects: Names or patterns such as "sub-1*"; None takes all.
        exclude: Names or patterns of subjects or sessions ("sub-03", "sub-03_ses-2").
        sessions: Names or patterns such as "ses-1"; None takes all.
        where: Tag to the values that are wanted, such as ``{sex: [F]}``; "site" works too. A
            session without the tag is left out.
        first: At most so many of the subjects that fit, in the order of their names; None: all.
    """

    subjects: Sequence[str] | None = None
    exclude: Sequence[str] = ()
    sessions: Sequence[str] | None = None
    where: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    first: int | None = None

    def choose(self, entries: list[Entry]) -> tuple[list[Entry], list[Dropped]]:
        """Return the sessions that stay, and those that are left out with their reason."""
        kept, dropped = [], []
        for entry in entries:
            if reason := self._against(entry):
                dropped.append(_left_out(entry, reason))
            else:
                kept.append(entry)
        if self.first is not None:
            names = sorted({entry.subject for entry in kept}, key=_natural)[: self.first]
            beyond = f"among the first {self.first} subjects"
            dropped += [_left_out(e, beyond) for e in kept if e.subject not in names]
            kept = [entry for entry in kept if entry.subject in names]
        return kept, dropped

    def _against(self, entry: Entry) -> str | None:
        """Return what a session does not fit, or None."""
        if self.subjects is not None and not _fits(entry.subject, self.subjects):
            return f"a subject like {', '.join(self.subjects)}"
        if _fits(entry.subject, self.exclude) or _fits(entry.name, self.exclude):
            return f"none of {', '.join(self.exclude)}"
        if self.sessions is not None and not _fits(entry.session or "", self.sessions):
            return f"a session like {', '.join(self.sessions)}"
        tags = {**getattr(entry.pair, "tags", {}), "site": entry.site}
        for tag, values in self.where.items():
            if tags.get(tag) not in values:
                return f"{tag} among {', '.join(map(str, values))}"
        return None


def _fits(name: str, patterns: Sequence[str]) -> bool:
    """Return whether a name is like one of the patterns."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _left_out(entry: Entry, wanted: str) -> Dropped:
    """Return the row of a session that the recipe does not want."""
    reason = f"Expected {wanted}, got {entry.name}. Change recipe.select to have it."
    return Dropped(entry.subject, entry.session, "Select", reason, kind=LEFT_OUT)


def _natural(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts numbers by their value.

    >>> sorted(["sub-10", "sub-9"], key=_natural)
    ['sub-9', 'sub-10']
    """
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
