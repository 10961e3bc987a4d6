"""One session of a prepared data set, and its row in the manifest."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from mrcontrast.errors import MrcontrastError

MANIFEST = "manifest.tsv"
ABSENT = "n/a"
MASKS = ("brain_mask", "lesion_mask", "labels")
NAMES = ("subject", "session")
NAME = re.compile(r"[a-z][a-z0-9]*")  # of a contrast
SPACING_TOLERANCE_MM = 2e-3  # between two sessions: an oblique affine's columns are rounded
BY_CONTRAST = {"images": "", "sha256": "sha256_", "normalisers": "normaliser_", "raw": "source_"}
RAW_MASK = "mask"
SCANNED_SLICES = "scanned_slices"  # of the measures: first and last


@dataclass(frozen=True)
class Record:
    """One session of one subject.

    Images are all on one grid: RAS, skull-stripped, float32 in [0, 1]. ``raw`` has the absolute
    paths of the raw files, by contrast, and under "mask" of the brain mask that came with them; it
    is empty for a phantom, and they need not exist any more.
    """

    subject: str  # with its prefix, such as "sub-03"
    session: str | None  # with its prefix, such as "ses-1"
    split: str  # "train", "val" or "test"
    site: str  # scanner or data set that it came from
    images: dict[str, Path]  # by contrast
    brain_mask: Path  # uint8, 1 in the brain
    lesion_mask: Path | None  # uint8, 1 in lesions
    labels: Path | None  # uint8 tissue labels
    sha256: dict[str, str]  # of the bytes of each image
    shape: tuple[int, int, int]  # voxels along x, y, z; the same for all records
    spacing_mm: float  # the same along all axes and for all records
    normalisers: dict[str, dict[str, Any]]  # ``FittedNormaliser.to_dict()``
    tags: dict[str, Any] = field(default_factory=dict)  # of subject and scan: age, sex, ...
    measures: dict[str, Any] = field(default_factory=dict)  # of preparation, such as brain_ml
    raw: dict[str, Path] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the session: "sub-03" or "sub-03_ses-1"."""
        return self.subject if self.session is None else f"{self.subject}_{self.session}"

    @property
    def scanned_slices(self) -> tuple[int, int] | None:
        """First and last axial slice in the field of view of the scan; None if not measured."""
        found = self.measures.get(SCANNED_SLICES)
        return None if found is None else (int(found[0]), int(found[1]))

    @property
    def known(self) -> dict[str, Any]:
        """Tags of scan and person, the site among them."""
        return {"site": self.site, **self.tags}

    @property
    def files(self) -> dict[str, Path]:
        """Files of the session in the data set, by their column in the manifest."""
        masks = {name: getattr(self, name) for name in MASKS}
        return self.images | {name: path for name, path in masks.items() if path is not None}


FIXED = tuple(item.name for item in fields(Record) if item.name not in BY_CONTRAST)


def columns_of(contrasts: Iterable[str]) -> list[str]:
    """Return the columns of a manifest with some contrasts.

    >>> columns_of(["flair"])[4:9]
    ['flair', 'brain_mask', 'lesion_mask', 'labels', 'sha256_flair']
    """
    columns = []
    for item in fields(Record):
        prefix = BY_CONTRAST.get(item.name)
        columns += [item.name] if prefix is None else [f"{prefix}{name}" for name in contrasts]
    return [*columns, f"{BY_CONTRAST['raw']}{RAW_MASK}"]


def contrasts_in(columns: Iterable[str]) -> list[str]:
    """Return the contrasts that the columns of a manifest name.

    >>> contrasts_in(["subject", "t2w", "sha256_t2w", "normaliser_t2w"])
    ['t2w']
    """
    prefixes = (BY_CONTRAST["sha256"], BY_CONTRAST["normalisers"])
    pairs = [(prefix, str(key)) for prefix in prefixes for key in columns]
    return list(dict.fromkeys(key.removeprefix(p) for p, key in pairs if key.startswith(p)))


def to_row(record: Record, columns: Sequence[str], root: Path) -> list[str]:
    """Format a record as the cells of a row."""
    values = {name: getattr(record, name) for name in FIXED}
    for name, prefix in BY_CONTRAST.items():
        values |= {f"{prefix}{key}": value for key, value in getattr(record, name).items()}
    return [_to_cell(column, values.get(column), root) for column in columns]


def _to_cell(column: str, value: Any, root: Path) -> str:  # noqa: ANN401 - any field of a record
    """Format one value; JSON escapes tabs and newlines, so that no quoting is needed."""
    if value is None or value == "":
        return ABSENT
    if isinstance(value, Path):
        raw = column.startswith(BY_CONTRAST["raw"])
        return str(value) if raw else value.relative_to(root).as_posix()
    if isinstance(value, dict):
        return json.dumps(value, sort_keys=True, allow_nan=False)
    return "x".join(map(str, value)) if column == "shape" else str(value)


def from_row(row: Mapping[str, str | None], root: Path) -> Record:
    """Parse a row, which a person may have edited; MrcontrastError names a faulty cell."""
    contrasts = contrasts_in(row)
    columns = columns_of(contrasts)
    try:
        if strange := [name for name in contrasts if not NAME.fullmatch(name) or name in FIXED]:
            raise ValueError(f"{strange[0]!r} is no name of a contrast")
        if not contrasts:
            raise ValueError("no column sha256_NAME")
        missing = [name for name in contrasts if row[name] == ABSENT]
        optional = [f"{BY_CONTRAST[kind]}{name}" for kind in BY_CONTRAST for name in missing]
        optional += [column for column in columns if column.startswith(BY_CONTRAST["raw"])]
        cells = {
            column: _from_cell(column, row[column], root, column in optional)
            for column in columns
            if column in row or column not in optional  # older data sets have no raw files
        }
    except (KeyError, ValueError, AttributeError) as error:
        raise MrcontrastError(
            f"Expected a row with the columns {', '.join(columns)}, got a cell that cannot be "
            f"read: {error} ({root / MANIFEST}, subject {row.get('subject')}). "
            "Prepare the data set again."
        ) from error
    values = {name: cells[name] for name in FIXED}
    for name, prefix in BY_CONTRAST.items():
        found = {key: cells.get(f"{prefix}{key}") for key in (*contrasts, RAW_MASK)}
        values[name] = {key: value for key, value in found.items() if value is not None}
    return Record(**values)


def _from_cell(column: str, cell: str | None, root: Path, optional: bool) -> Any:  # noqa: ANN401
    """Parse one cell."""
    if cell is None:
        raise ValueError(f"{column} is missing")
    if cell == ABSENT:
        if optional or column in ("session", *MASKS[1:]):
            return None
        if column in ("site", "split"):  # a session has no split until all of them are there
            return ""
        raise ValueError(f"{column} is {ABSENT}")
    kind = column.partition("_")[0]
    if column in NAMES:
        return _checked(column, cell)
    if column in ("tags", "measures") or kind == "normaliser":
        return json.loads(cell)
    if column == "shape":
        x, y, z = map(int, cell.split("x"))
        return x, y, z
    if column == "spacing_mm":
        return float(cell)
    if column in ("split", "site") or kind == "sha256":
        return cell
    return Path(cell) if kind == "source" else root / _checked(column, cell)


def _checked(column: str, cell: str) -> str:
    """Return a name or path of a row unless a file by it would lie outside of its folder."""
    path = Path(cell)
    if column in NAMES and (path.name != cell or cell == ".." or "\\" in cell):
        raise ValueError(f"{column} is {cell!r}, which is no name")
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{column} is {cell}, which leads out of the data set")
    return cell
