"""Sides of the split: checked before the work, assigned after it, compared with earlier ones."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from mrcontrast.data.manifest import MANIFEST, Manifest, Record
from mrcontrast.errors import MrcontrastError
from mrcontrast.preparation.outcome import read_outcome
from mrcontrast.preparation.recipe import Recipe
from mrcontrast.preparation.session import Dropped, Entry

EMPTY_VAL = (
    "warning: the validation split is empty for {} subjects; raise recipe.split.val or add "
    "subjects. Another split of a finished data set takes seconds: its sessions are kept"
)


def check_split(
    recipe: Recipe, entries: Sequence[Entry], dropped: Sequence[Dropped], earlier: Sequence[Path]
) -> dict[str, str]:
    """Assign the subjects that were found, before any of them is prepared.

    Args:
        recipe: Its split decides.
        entries: Sessions that can be tried.
        dropped: Sessions that cannot.
        earlier: Folders of earlier runs, finished or not; a split that fails for all subjects may
            do for those that these runs have not dropped.

    Returns:
        Subject to side.

    Raises:
        MrcontrastError: The split cannot be made of these subjects.
    """
    try:
        return _sides(recipe, entries, dropped)
    except MrcontrastError:
        known = [_dropped_before(entry, earlier) for entry in entries]
        left = [entry for entry, gone in zip(entries, known, strict=True) if not gone]
        if len(left) in (0, len(entries)):
            raise
        return _sides(recipe, left, [*dropped, *(item for item in known if item is not None)])


def _sides(recipe: Recipe, entries: Sequence[Entry], dropped: Sequence[Dropped]) -> dict[str, str]:
    """Return the side of each subject."""
    sites = {entry.subject: entry.site for entry in entries}
    return recipe.split.assign(
        sorted(sites), {item.subject for item in dropped} - set(sites), sites
    )


def _dropped_before(entry: Entry, earlier: Sequence[Path]) -> Dropped | None:
    """Return how an earlier run has dropped a session, or None."""
    outcomes = (read_outcome(entry.name, root) for root in earlier)
    return next((outcome.dropped for outcome in outcomes if outcome is not None), None)


def with_splits(
    recipe: Recipe,
    records: list[Record],
    dropped: list[Dropped],
    person_of: Mapping[str, str] = MappingProxyType({}),
) -> list[Record]:
    """Give each record the side of its person, who may have several subject names."""
    if not records:
        first = dropped[0].reason if dropped else "none"
        raise MrcontrastError(
            f"Expected at least one good pair, got {len(dropped)} faulty; the first: {first}"
        )
    subjects = sorted({record.subject for record in records})
    first_of = {person_of.get(subject, subject): subject for subject in reversed(subjects)}
    stands_for = {subject: first_of[person_of.get(subject, subject)] for subject in subjects}
    names = sorted(first_of.values())
    gone = {*(item.subject for item in dropped), *subjects} - set(names)
    sites = {record.subject: record.site for record in records if record.subject in names}
    sides = recipe.split.assign(names, gone, sites)
    return [replace(record, split=sides[stands_for[record.subject]]) for record in records]


def changed_sides(manifest: Manifest, out: Path) -> list[str]:
    """Return the subjects that an earlier data set has on another side of the split."""
    if not (out / MANIFEST).is_file():
        return []
    with (out / MANIFEST).open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        earlier = {row.get("subject"): row.get("split") for row in rows}
    pairs = {(record.subject, record.split) for record in manifest.records}
    return sorted(subject for subject, side in pairs if earlier.get(subject, side) != side)
