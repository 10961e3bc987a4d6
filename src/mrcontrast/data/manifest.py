"""The prepared data set on disk: one row a session, read with every fault named."""

import csv
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from mrcontrast.data.splits import SPLITS
from mrcontrast.errors import MrcontrastError
from mrcontrast.storage.files import sha256_file, write_text

MANIFEST = "manifest.tsv"
ABSENT = "n/a"
PATHS = ("flair", "t1w", "brain_mask", "lesion_mask", "labels")
NAMES = ("subject", "session")
OPTIONAL_PATHS = ("lesion_mask", "labels")
SOURCES = ("source_flair", "source_t1w", "source_mask")
SPACING_TOLERANCE_MM = 2e-3  # between two sessions: an oblique affine's columns are rounded
JSON = ("normaliser_flair", "normaliser_t1w", "tags", "measures")


@dataclass(frozen=True)
class Record:
    """One session of one subject.

    Attributes:
        subject: With its prefix, such as "sub-03".
        session: With its prefix, such as "ses-1", or None.
        split: "train", "val" or "test".
        site: Scanner or data set that it came from.
        flair: Prepared volume: RAS, skull-stripped, float32 in [0, 1].
        t1w: Prepared volume on the same grid.
        brain_mask: uint8, 1 in the brain.
        lesion_mask: uint8, 1 in lesions, or None.
        labels: uint8 tissue labels, or None.
        sha256_flair: Of the file's bytes.
        sha256_t1w: Of the file's bytes.
        shape: Voxels along x, y, z; the same for all records.
        spacing_mm: The same along all axes and for all records.
        normaliser_flair: ``FittedNormaliser.to_dict()``.
        normaliser_t1w: ``FittedNormaliser.to_dict()``.
        tags: What is known of subject and scan: age, sex, field_strength_t, ...
        measures: What was measured on the way, such as brain_ml.
        source_flair: Raw file that the FLAIR was made from, absolute; None for a phantom. It need
            not be there any more, and is never written to.
        source_t1w: Raw file of the T1w, likewise.
        source_mask: Brain mask that came with the raw files, likewise; None if none did.
    """

    subject: str
    session: str | None
    split: str
    site: str
    flair: Path
    t1w: Path
    brain_mask: Path
    lesion_mask: Path | None
    labels: Path | None
    sha256_flair: str
    sha256_t1w: str
    shape: tuple[int, int, int]
    spacing_mm: float
    normaliser_flair: dict[str, Any]
    normaliser_t1w: dict[str, Any]
    tags: dict[str, Any] = field(default_factory=dict)
    measures: dict[str, Any] = field(default_factory=dict)
    source_flair: Path | None = None
    source_t1w: Path | None = None
    source_mask: Path | None = None

    @property
    def name(self) -> str:
        """Name of the session: "sub-03" or "sub-03_ses-1"."""
        return self.subject if self.session is None else f"{self.subject}_{self.session}"


COLUMNS = tuple(item.name for item in fields(Record))


class Manifest:
    """The records of one prepared data set.

    Args:
        records: One a session.
        root: Folder of the data set.

    Raises:
        MrcontrastError: No record, a session twice, a subject on two sides, or several grids.
    """

    def __init__(self, records: list[Record], root: str | Path) -> None:
        self.records = sorted(records, key=lambda record: record.name)
        self.root = Path(root)
        self._check()

    @classmethod
    def read(cls, root: str | Path) -> Self:
        """Read ``root/manifest.tsv``; every file it names must be there.

        Raises:
            MrcontrastError: As the constructor, or the table or a file is missing or malformed.
        """
        root = Path(root).absolute()
        path = root / MANIFEST
        if not path.is_file():
            raise MrcontrastError(
                f"Expected a prepared data set, got no {MANIFEST} ({root}). "
                "Run `mrcontrast prepare` first."
            )
        with path.open(encoding="utf-8", newline="") as file:
            table = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            manifest = cls([from_row(row, root) for row in table], root)
        manifest._check_files()
        return manifest

    def write(self) -> None:
        """Write ``root/manifest.tsv``, whole or not at all; paths become relative to root."""
        rows = ["\t".join(COLUMNS)]
        rows += ["\t".join(to_row(record, self.root)) for record in self.records]
        write_text(self.root / MANIFEST, "\n".join(rows) + "\n")

    def split(self, name: str) -> list[Record]:
        """Return the records of "train", "val" or "test"; val may be empty."""
        if name not in SPLITS:
            raise MrcontrastError(f'Expected train, val or test, got "{name}" (split).')
        return [record for record in self.records if record.split == name]

    @property
    def data_hash(self) -> str:
        """Hash over the names and voxels of all sessions, whatever their split."""
        return _digest([[r.name, r.sha256_flair, r.sha256_t1w] for r in self.records])

    @property
    def split_hash(self) -> str:
        """Hash over who stands on which side."""
        return _digest(sorted({(r.subject, r.split) for r in self.records}))

    def verify(self) -> None:
        """Compare every FLAIR and T1w file with its hash; it reads all of them.

        Raises:
            MrcontrastError: A file has changed since it was prepared.
        """
        for record in self.records:
            pairs = ((record.flair, record.sha256_flair), (record.t1w, record.sha256_t1w))
            for path, expected in pairs:
                if sha256_file(path) != expected:
                    raise MrcontrastError(
                        f"Expected the file that was prepared, got a changed one ({path}). "
                        "Prepare the data set again."
                    )

    def _check(self) -> None:
        """Refuse what would make a result wrong."""
        if not self.records:
            raise self._fault("at least one session", "none")
        sides: dict[str, str] = {}
        names = set()
        for record in self.records:
            if record.split not in SPLITS:
                raise self._fault("train, val or test", f'"{record.split}" for {record.name}')
            if sides.setdefault(record.subject, record.split) != record.split:
                sides_of = f"{record.subject} in {sides[record.subject]} and {record.split}"
                raise self._fault("each subject on one side", sides_of)
            if record.name in names:
                raise self._fault("each session once", f"{record.name} twice")
            names.add(record.name)
        grids = sorted({(record.shape, record.spacing_mm) for record in self.records})
        (first, thin), (last, thick) = grids[0], grids[-1]
        if first != last or thick - thin > SPACING_TOLERANCE_MM:
            raise self._fault("one grid for all", f"{len(grids)}: {grids}")

    def _check_files(self) -> None:
        """Refuse a table that names files that are not there."""
        for record in self.records:
            for column in PATHS:
                path = getattr(record, column)
                if path is not None and not path.is_file():
                    raise self._fault(f"the {column} of {record.name}", f"no file {path}")

    def _fault(self, expected: str, got: str) -> MrcontrastError:
        return MrcontrastError(
            f"Expected {expected}, got {got} ({self.root / MANIFEST}). Prepare the data set again."
        )


def to_row(record: Record, root: Path) -> list[str]:
    """Format a record as the cells of a row."""
    return [_to_cell(column, getattr(record, column), root) for column in COLUMNS]


def _to_cell(column: str, value: Any, root: Path) -> str:  # noqa: ANN401 - any field of a record
    """Format one value; JSON escapes tabs and newlines, so that no quoting is needed."""
    if value is None or value == "":
        return ABSENT
    if column in PATHS:
        return Path(value).relative_to(root).as_posix()
    if column in SOURCES:
        return str(value)
    if column in JSON:
        return json.dumps(value, sort_keys=True, allow_nan=False)
    return "x".join(map(str, value)) if column == "shape" else str(value)


def from_row(row: Mapping[str, str | None], root: Path) -> Record:
    """Parse a row; a person may have edited it.

    Raises:
        MrcontrastError: A column is missing or a cell cannot be read.
    """
    try:
        # Data sets from before the columns of SOURCES can still be read.
        columns = [column for column in COLUMNS if column in row or column not in SOURCES]
        return Record(**{column: _from_cell(column, row[column], root) for column in columns})
    except (KeyError, ValueError, AttributeError) as error:
        raise MrcontrastError(
            f"Expected a row with the columns {', '.join(COLUMNS)}, got a cell that cannot be "
            f"read: {error} ({root / MANIFEST}, subject {row.get('subject')}). "
            "Prepare the data set again."
        ) from error


def _from_cell(column: str, cell: str | None, root: Path) -> Any:  # noqa: ANN401 - as _to_cell
    """Parse one cell."""
    if cell is None:
        raise ValueError(f"{column} is missing")
    if cell == ABSENT:
        if column in (*OPTIONAL_PATHS, *SOURCES, "session"):
            return None
        if column in ("site", "split"):  # a session has no split until all of them are there
            return ""
        raise ValueError(f"{column} is {ABSENT}")
    if column in PATHS:
        return root / _inside(column, cell)
    if column in NAMES:
        return _name(column, cell)
    if column in SOURCES:
        return Path(cell)
    if column in JSON:
        return json.loads(cell)
    if column == "shape":
        x, y, z = map(int, cell.split("x"))
        return x, y, z
    return float(cell) if column == "spacing_mm" else cell


def _inside(column: str, cell: str) -> str:
    """Return a path of a row unless it leads out of the data set."""
    if Path(cell).is_absolute() or ".." in Path(cell).parts:
        raise ValueError(f"{column} is {cell}, which leads out of the data set")
    return cell


def _name(column: str, cell: str) -> str:
    """Return a subject or session unless a file named after it would lie in another folder."""
    if Path(cell).name != cell or cell == ".." or "\\" in cell:
        raise ValueError(f"{column} is {cell!r}, which is no name")
    return cell


def _digest(obj: Any) -> str:  # noqa: ANN401 - whatever JSON can hold
    """Return the SHA-256 of an object's JSON, in hexadecimal."""
    return hashlib.sha256(json.dumps(obj).encode()).hexdigest()
