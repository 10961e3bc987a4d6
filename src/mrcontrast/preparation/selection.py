"""Select sessions by name and tag before a voxel is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from mrcontrast.preparation.session import LEFT_OUT, Dropped, Entry, natural


@dataclass(frozen=True)
class Select:
    """Keep matching sessions; the others are listed in ``dropped.tsv`` and are no fault.

    Attributes:
        subjects: Names or patterns such as "sub-1*"; None takes all.
        exclude: Names or patterns of subjects or sessions ("sub-03", "sub-03_ses-2").
        sessions: Names or patterns such as "ses-1"; None takes all.
        where: Accepted values by tag, such as ``{sex: [F]}``, or by "site"; a session without the
            tag is left out.
        first: Largest number of subjects, in the order of their names; None: all.
    """

    subjects: Sequence[str] | None = None
    exclude: Sequence[str] = ()
    sessions: Sequence[str] | None = None
    where: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    first: int | None = None

    def choose(
        self, entries: list[Entry], refused: Sequence[Dropped] = ()
    ) -> tuple[list[Entry], list[Dropped]]:
        """Return the selected sessions, and the others with the reason.

        A refused session that is not selected is no fault: its name decides, since its tags are
        unknown, and ``first``.
        """
        kept, dropped = [], []
        for entry in entries:
            reason = self._against_name(entry) or self._against_tags(entry)
            if reason:
                dropped.append(_left_out(entry, reason))
            else:
                kept.append(entry)
        limit = None
        if self.first is not None:
            names = sorted({entry.subject for entry in kept}, key=natural)[: self.first]
            beyond = f"among the first {self.first} subjects"
            dropped += [_left_out(e, beyond) for e in kept if e.subject not in names]
            kept = [entry for entry in kept if entry.subject in names]
            limit = natural(names[-1]) if names and len(names) == self.first else None
        for item in refused:
            reason = self._against_name(item)
            if limit is not None and natural(item.subject) > limit:
                reason = reason or beyond
            dropped.append(_left_out(item, reason) if reason else item)
        return kept, dropped

    def _against_name(self, item: Entry | Dropped) -> str | None:
        """Return the condition that a session's name does not meet, or None."""
        if self.subjects is not None and not _fits(item.subject, self.subjects):
            return f"a subject like {', '.join(self.subjects)}"
        if _fits(item.subject, self.exclude) or _fits(item.name, self.exclude):
            return f"none of {', '.join(self.exclude)}"
        if self.sessions is not None and not _fits(item.session or "", self.sessions):
            return f"a session like {', '.join(self.sessions)}"
        return None

    def _against_tags(self, entry: Entry) -> str | None:
        """Return the condition that a session's tags do not meet, or None."""
        tags = {**getattr(entry.pair, "tags", {}), "site": entry.site}
        for tag, values in self.where.items():
            if tags.get(tag) not in values:
                return f"{tag} among {', '.join(map(str, values))}"
        return None


def _fits(name: str, patterns: Sequence[str]) -> bool:
    """Return whether a name is like one of the patterns."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _left_out(item: Entry | Dropped, wanted: str) -> Dropped:
    """Return the row of a session that is not selected."""
    reason = f"Expected {wanted}, got {item.name}. Change recipe.select to have it."
    return Dropped(item.subject, item.session, "Select", reason, kind=LEFT_OUT)
