"""Axial slices of a prepared volume that lie in the field of view of its scan."""

import numpy as np

from mrcontrast.data.manifest import Record

SCANNED_SLICES = "scanned_slices"  # of a record's measures: first and last


def measure_scanned(field: np.ndarray, brain: np.ndarray) -> list[int] | None:
    """Return the first and last axial slice that were scanned where the brain is; None for none.

    Args:
        field: (X, Y, Z), bool, the field of view.
        brain: (X, Y, Z), bool. Most of the columns that hold brain must have been scanned.
    """
    columns = brain.any(axis=2)
    if not columns.any():
        return None
    covered = np.flatnonzero(field[columns].mean(axis=0) > 0.5)
    return [int(covered[0]), int(covered[-1])] if len(covered) else None


def scanned_slices(record: Record) -> tuple[int, int] | None:
    """Return what ``measure_scanned`` found of a record; None if it was not measured."""
    found = record.measures.get(SCANNED_SLICES)
    return None if found is None else (int(found[0]), int(found[1]))
