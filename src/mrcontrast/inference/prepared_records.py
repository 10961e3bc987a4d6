"""Subjects of a prepared data set that are to be translated."""

from collections.abc import Sequence
from pathlib import Path

from mrcontrast.data.manifest import Manifest
from mrcontrast.data.record import Record
from mrcontrast.errors import MrcontrastError, UsageError


def check_source(record: Record, contrast: str, normaliser: str | None) -> None:
    """Refuse a prepared subject without a source, or with one normalised in another way."""
    if contrast not in record.images:
        raise MrcontrastError(
            f"Expected {contrast} of {record.name} for this model, got "
            f"{', '.join(record.images)} ({record.brain_mask.parent}). Name another model."
        )
    if normaliser not in (None, found := record.normalisers[contrast]["name"]):
        raise MrcontrastError(
            f"Expected volumes normalised by {normaliser}, got {found} "
            f"({record.images[contrast]}). Prepare the data as those that the model was trained on."
        )


def split_records(root: Path, split: str) -> list[Record]:
    """Return the subjects of one split of a prepared data set."""
    records = Manifest.read(root).split(split)
    if not records:
        raise MrcontrastError(f"Expected subjects in the {split} split, got none ({root}).")
    return records


def next_other(records: Sequence[Record], index: int) -> Record:
    """Return the next record, in a circle, that belongs to another subject."""
    circle = [*records[index + 1 :], *records[:index]]
    for record in circle:
        if record.subject != records[index].subject:
            return record
    raise UsageError(
        f"Expected two subjects or more to shuffle, got only {records[index].subject}."
    )
