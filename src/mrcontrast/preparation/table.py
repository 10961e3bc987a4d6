"""Pairs that a table names: one row a session, one column a file."""

import csv
import math
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from mrcontrast.data.manifest import ABSENT
from mrcontrast.data.sidecars import Sidecars
from mrcontrast.errors import UsageError
from mrcontrast.preparation.pairs import FilePair, bids_labels
from mrcontrast.preparation.scans import check_allow, refused_scan
from mrcontrast.preparation.subject import Dropped, Entry, Remark

NEEDED = ("subject", "flair", "t1w")
FILES = ("flair", "t1w", "brain_mask", "lesion_mask")
UNKNOWN = (None, "", ABSENT)


class TablePairs:
    """Pairs in a TSV with the columns subject, flair and t1w; others are optional.

    ``session``, ``site``, ``brain_mask`` and ``lesion_mask`` mean what they say; any further column
    becomes a tag, as a number where it is one. Relative paths start at the table's folder; "n/a"
    and "" mean absent.

    Args:
        table: The TSV file.
        site: Name in the manifest for rows without one; None takes the table's name.
        one_grid: Whether FLAIR and T1w must have the same voxels; False needs ``Register``.
        allow: Images that are taken although they are "synthetic" or of a "contrast_agent".

    Raises:
        UsageError: There is no such file, or a column is missing.
    """

    remarks: Sequence[Remark] = ()

    def __init__(
        self,
        table: str,
        site: str | None = None,
        one_grid: bool = True,
        allow: Collection[str] = (),
    ) -> None:
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
        if missing := [column for column in NEEDED if column not in columns]:
            raise UsageError(
                f"Expected the columns {', '.join(NEEDED)}, got no {', '.join(missing)} "
                f"({self.table}). Add them; cells are parted by tabs."
            )

    @property
    def folders(self) -> list[str]:
        """Folders of the files that the rows name, which are never written to."""
        cells = [row.get(key) for row in self.rows for key in FILES]
        return sorted({str((self.table.parent / c).parent) for c in cells if c and c != ABSENT})

    @property
    def wanted(self) -> str:
        """What is looked for, in words."""
        return f"rows of {self.table}"

    def index(self) -> tuple[list[Entry], list[Dropped]]:
        """Return a session for each row; one without its files is dropped, with its line."""
        entries, dropped = [], []
        sidecars = Sidecars(self.table.parent)
        for line, row in enumerate(self.rows, start=2):
            known = {key: cell for key, cell in row.items() if key and cell not in UNKNOWN}
            name = known.get("subject", f"line{line}")
            subject, session = bids_labels(name, known.get("session"))
            files = {key: self.table.parent / known[key] for key in FILES if key in known}
            lacking = [key for key in NEEDED if key not in known]
            lacking += [str(path) for path in files.values() if not os.path.lexists(path)]
            origin = f"{self.table}:{line}"
            scans = [] if lacking else [files["flair"], files["t1w"]]
            refused = [text for path in scans if (text := refused_scan(path, sidecars, self.allow))]
            if lacking or refused:
                got = ", ".join(lacking)
                reason = f"Expected a subject and its files, got no {got} ({origin}). Correct it."
                reason = reason if lacking else refused[0]
                dropped.append(Dropped(subject, session, type(self).__name__, reason))
                continue
            pair = FilePair(**files, tags=_tags(known), one_grid=self.one_grid)
            entries.append(Entry(subject, session, known.get("site", self.site), origin, pair))
        return entries, dropped


def _tags(known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the further columns of a row, as numbers where they are."""
    own = (*NEEDED, *FILES, "session", "site")
    found = {key: _number(cell) for key, cell in known.items() if key not in own}
    return {key: value for key, value in found.items() if value is not None}


def _number(cell: str) -> float | str | None:
    """Return a cell as a number if it is one; NaN and infinity say nothing, as "n/a" does."""
    try:
        number = float(cell)
    except ValueError:
        return cell
    return number if math.isfinite(number) else None
