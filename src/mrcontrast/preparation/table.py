"""Sessions of a table: one row a session, one column a file."""

import csv
import math
from collections.abc import Collection, Mapping, Sequence
from os.path import lexists
from pathlib import Path
from typing import Any

from mrcontrast.data.record import ABSENT
from mrcontrast.data.sidecars import Sidecars
from mrcontrast.errors import UsageError
from mrcontrast.preparation.pairs import FilePair, bids_labels
from mrcontrast.preparation.scans import check_allow, refused_scan
from mrcontrast.preparation.session import Dropped, Entry, Remark
from mrcontrast.preparation.subject import PAIR, check_contrasts

MASKS = ("brain_mask", "lesion_mask")
UNKNOWN = (None, "", ABSENT)


class TablePairs:
    """Sessions in a TSV with the column subject and one a contrast; others are optional.

    ``session``, ``site``, ``brain_mask`` and ``lesion_mask`` have their usual meaning; any further
    column becomes a tag, as a number where it is one. Relative paths start at the table's folder;
    "n/a" and "" mean absent.

    Args:
        table: The TSV file; UsageError if it is not there or lacks a column.
        contrasts: Columns of the images, the reference first.
        optional: Contrasts that a session may lack.
        site: Name in the manifest for rows without one; None takes the table's name.
        one_grid: Whether all contrasts must have the same voxels; False needs ``Register``.
        allow: Kinds of images to accept: "synthetic", "contrast_agent", "phase".
    """

    remarks: Sequence[Remark] = ()

    def __init__(
        self,
        table: str,
        contrasts: Sequence[str] = PAIR,
        optional: Collection[str] = (),
        site: str | None = None,
        one_grid: bool = True,
        allow: Collection[str] = (),
    ) -> None:
        self.contrasts = check_contrasts(contrasts, optional)
        self.needed = ("subject", *(name for name in contrasts if name not in optional))
        self.allow = check_allow(allow)
        if not table or not Path(table).is_file():
            raise UsageError(
                f"Expected a table of pairs, got none ({table}). Give source=FILE.tsv."
            )
        self.table = Path(table).absolute()
        self.site = site or self.table.stem
        self.one_grid = one_grid
        with self.table.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            reader = csv.DictReader(file, delimiter="\t")
            self.rows = list(reader)
            columns = reader.fieldnames or []
        if missing := [column for column in self.needed if column not in columns]:
            raise UsageError(
                f"Expected the columns {', '.join(self.needed)}, got no {', '.join(missing)} "
                f"({self.table}). Add them; cells are separated by tabs."
            )
        cells = [row.get(key) for row in self.rows for key in (*self.contrasts, *MASKS)]
        places = {(self.table.parent / c).parent for c in cells if c and c != ABSENT}
        self.folders = sorted(map(str, places))
        self.wanted = f"rows of {self.table}"

    def index(self) -> tuple[list[Entry], list[Dropped]]:
        """Return a session for each row; one without its files is dropped, with its line."""
        entries, dropped = [], []
        sidecars = Sidecars(self.table.parent)
        for line, row in enumerate(self.rows, start=2):
            known = {key: cell for key, cell in row.items() if key and cell not in UNKNOWN}
            name = known.get("subject", f"line{line}")
            subject, session = bids_labels(name, known.get("session"))
            images = {k: self.table.parent / known[k] for k in self.contrasts if k in known}
            masks = {key: self.table.parent / known[key] for key in MASKS if key in known}
            lacking = [key for key in self.needed if key not in known]
            lacking += [str(p) for p in (*images.values(), *masks.values()) if not lexists(p)]
            origin = f"{self.table}:{line}"
            scans = () if lacking else images.values()
            refused = [text for path in scans if (text := refused_scan(path, sidecars, self.allow))]
            if lacking or refused:
                got = ", ".join(lacking)
                reason = f"Expected a subject and its files, got no {got} ({origin}). Correct it."
                reason = reason if lacking else refused[0]
                dropped.append(Dropped(subject, session, type(self).__name__, reason))
                continue
            pair = FilePair(images, **masks, tags=self._tags(known), one_grid=self.one_grid)
            entries.append(Entry(subject, session, known.get("site", self.site), origin, pair))
        return entries, dropped

    def _tags(self, known: Mapping[str, Any]) -> dict[str, Any]:
        """Return the further columns of a row, as numbers where they are."""
        own = ("subject", "session", "site", *self.contrasts, *MASKS)
        found = {key: _number(cell) for key, cell in known.items() if key not in own}
        return {key: value for key, value in found.items() if value is not None}


def _number(cell: str) -> float | str | None:
    """Return a cell as a number if it is one; NaN and infinity count as absent."""
    try:
        number = float(cell)
    except ValueError:
        return cell
    return number if math.isfinite(number) else None
