"""What became of one session, as it is remembered on disk: ``sessions/<name>.json``."""

import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from mrcontrast import __version__
from mrcontrast.data.manifest import Record, columns_of, from_row, to_row
from mrcontrast.errors import MrcontrastError
from mrcontrast.preparation.session import BROKEN, Dropped, Entry
from mrcontrast.preparation.trail import Change
from mrcontrast.storage.files import sha256_file, write_json

SESSIONS = "sessions"


@dataclass(frozen=True)
class Outcome:
    """What became of one session.

    Attributes:
        name: Of the session.
        key: Hash of its inputs and of the operators; the same key needs no second run.
        record: Its row of the manifest, without a split; None if it was dropped.
        dropped: Why it was left out, or None.
        changes: What each operator did to it.
        pictures: Small pictures as URLs, by title.
        prints: Hashes of the raw voxels of "flair" and "t1w", where they could be read.
        look: The T1w's anatomy in short, for comparison with others: see ``duplicates.look_of``.
        seconds: That it took.
        reused: Whether an earlier run made it.
    """

    name: str
    key: str
    record: Record | None = None
    dropped: Dropped | None = None
    changes: list[Change] = field(default_factory=list)
    pictures: dict[str, str] = field(default_factory=dict)
    prints: dict[str, str] = field(default_factory=dict)
    look: str = ""
    seconds: float = 0.0
    reused: bool = False


def key_of(entry: Entry, identity: list[str]) -> str:
    """Return the hash of all that decides the outcome of a session: it reads the raw files."""
    who = [entry.subject, entry.session, entry.site]
    facts = [__version__, identity, who, entry.pair.identity()]
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def write_outcome(outcome: Outcome, root: Path) -> None:
    """Write the file of a session, last of all its files and whole."""
    plain = asdict(outcome) | {"record": None}
    if outcome.record is not None:
        columns = columns_of(outcome.record.images)
        plain["record"] = dict(zip(columns, to_row(outcome.record, columns, root), strict=True))
    del plain["reused"]
    write_json(_path(outcome.name, root), plain)


def read_outcome(name: str, root: Path) -> Outcome | None:
    """Return what was remembered of a session under ``root``; None if nothing that can be read."""
    try:
        plain: dict[str, Any] = json.loads(_path(name, root).read_text(encoding="utf-8"))
        record, dropped = plain.pop("record"), plain.pop("dropped")
        changes = [Change(**change) for change in plain.pop("changes")]
        return Outcome(
            **plain,
            record=None if record is None else from_row(record, root),
            dropped=None if dropped is None else Dropped(**dropped),
            changes=changes,
        )
    except (OSError, ValueError, TypeError, KeyError, MrcontrastError):
        return None  # as if it had never been: the session is prepared anew


def find_finished(entry: Entry, key: str, stage: Path, earlier: Path) -> Outcome | None:
    """Return the outcome of a session that needs no second run, with its files under ``stage``.

    Args:
        entry: The session.
        key: What an outcome must have been made from.
        stage: Where an interrupted run has left its sessions.
        earlier: Data set of an earlier run; its files are linked or copied, never moved.
    """
    for root in (stage, earlier):
        outcome = read_outcome(entry.name, root)
        if outcome is None or outcome.key != key or not _stands(outcome):
            continue
        if root is earlier:
            outcome = _brought(outcome, earlier, stage)
        return replace(outcome, reused=True)
    return None


def _path(name: str, root: Path) -> Path:
    return root / SESSIONS / f"{name}.json"


def _stands(outcome: Outcome) -> bool:
    """Return whether an outcome is final and its files are as they were written."""
    if outcome.dropped is not None:
        return outcome.dropped.kind != BROKEN and outcome.dropped.operator != "Deduplicate"
    record = outcome.record
    if record is None or not all(path.is_file() for path in record.files.values()):
        return False
    return record.sha256 == {name: sha256_file(path) for name, path in record.images.items()}


def _brought(outcome: Outcome, earlier: Path, stage: Path) -> Outcome:
    """Link or copy the files of a session from an earlier data set."""
    record = outcome.record
    if record is not None:
        moved: dict[str, Any] = {c: stage / p.relative_to(earlier) for c, p in record.files.items()}
        for column, path in moved.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            _link(record.files[column], path)
        images = {name: moved.pop(name) for name in record.images}
        outcome = replace(outcome, record=replace(record, images=images, **moved))
    write_outcome(outcome, stage)
    return outcome


def _link(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it where the file system has no links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
