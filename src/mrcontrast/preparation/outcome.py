"""The outcome of one session and the changes of each operator: ``sessions/<name>.json``."""

import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mrcontrast import __version__
from mrcontrast.data.record import Record, columns_of, from_row, to_row
from mrcontrast.errors import MrcontrastError
from mrcontrast.preparation.session import BROKEN, Dropped, Entry
from mrcontrast.preparation.subject import Subject
from mrcontrast.storage.files import sha256_file, write_json

SESSIONS = "sessions"
PERCENTILES = (1, 50, 99)
Value = str | float


@dataclass(frozen=True)
class Change:
    """One measure that an operator made or changed; None where it was or is unknown."""

    step: int  # place in the list of operators; 0 is the load
    operator: str
    measure: str
    before: Value | None
    after: Value | None


class Trail:
    """Compare a session before and after each operator.

    Attributes:
        changes: Changes so far, in order.
        last: The session after the last operator that succeeded, None before it is loaded.
        prints: Hashes of the raw voxels by contrast.
    """

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.last: Subject | None = None
        self.prints: dict[str, str] = {}
        self._state: dict[str, Value] = {}
        self._known: dict[int, tuple[object, dict[str, Value]]] = {}
        self._step = 0

    def __call__(self, operator: str, subject: Subject) -> None:
        """Record the changes that ``operator`` has made."""
        if self.last is None:
            self.prints = {name: _print(v.data) for name, v in subject.images.items()}
        state = self._measure(subject)
        for name in [*state, *(name for name in self._state if name not in state)]:
            before, after = self._state.get(name), state.get(name)
            if before != after:
                self.changes.append(Change(self._step, operator, name, before, after))
        self._state, self.last = state, subject
        self._step += 1

    def _measure(self, subject: Subject) -> dict[str, Value]:
        """Return all measures of a session."""
        state: dict[str, Value] = {}
        for name, volume in subject.images.items():
            grid = {
                "shape": "x".join(map(str, volume.shape)),
                "spacing_mm": "x".join(f"{step:.4g}" for step in volume.spacing_mm),
                "orientation": volume.orientation,
                "origin_mm": ",".join(f"{place:.2f}" for place in volume.affine[:3, 3]),
            }
            found = grid | self._intensities(volume.data)
            state |= {f"{name}_{key}": value for key, value in found.items()}
        for name in ("brain_mask", "lesion_mask"):
            mask = getattr(subject, name)
            if mask is not None:
                state[f"{name}_voxels"] = int(mask.sum())
        return state | subject.measures

    def _intensities(self, data: np.ndarray) -> dict[str, Value]:
        """Return extremes, mean and percentiles of an array; the last two arrays are cached."""
        known: tuple[object, dict[str, Value]] = self._known.get(id(data), (None, {}))
        if known[0] is not data:
            values = [data.min(), data.max(), data.mean(dtype=np.float64)]
            names = ["min", "max", "mean", *(f"p{share}" for share in PERCENTILES)]
            values += list(np.percentile(data[::2, ::2, ::2], PERCENTILES))
            pairs = zip(names, values, strict=True)
            known = (data, {name: float(f"{value:.6g}") for name, value in pairs})
            self._known = dict([*list(self._known.items())[-1:], (id(data), known)])
        return known[1]


def _print(data: np.ndarray) -> str:
    """Return the hash of voxels and their shape."""
    whole = np.ascontiguousarray(data, np.float32)
    return hashlib.sha256(str(whole.shape).encode() + whole.tobytes()).hexdigest()


@dataclass(frozen=True)
class Outcome:
    """Result of the preparation of one session: a record, or the reason for leaving it out.

    Attributes:
        key: Hash of its inputs and of the operators; the same key needs no second run.
        record: Its row of the manifest, without a split.
        pictures: Small pictures as URLs, by title.
        prints: Hashes of the raw voxels by contrast, where they could be read.
        look: Anatomy in short, for comparison with others: see ``duplicates.look_of``.
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
    """Return the hash of all inputs of a session; it reads the raw files."""
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
    """Read the outcome of a session under ``root``; None if there is none that can be read."""
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

    It comes from an interrupted run in ``stage`` or from an ``earlier`` data set, whose files are
    linked or copied, never moved. ``key`` must be the same.
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
            try:
                os.link(record.files[column], path)
            except OSError:  # the file system has no links
                shutil.copy2(record.files[column], path)
        images = {name: moved.pop(name) for name in record.images}
        outcome = replace(outcome, record=replace(record, images=images, **moved))
    write_outcome(outcome, stage)
    return outcome
