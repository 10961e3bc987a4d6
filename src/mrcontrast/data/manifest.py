"""The prepared data set on disk: one row a session, read with every fault named."""

import csv
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from mrcontrast.data.record import (
    MANIFEST,
    SPACING_TOLERANCE_MM,
    Record,
    columns_of,
    from_row,
    to_row,
)
from mrcontrast.data.splits import SPLITS
from mrcontrast.errors import MrcontrastError
from mrcontrast.storage.files import write_text


class Manifest:
    """The records of one prepared data set, one a session.

    MrcontrastError: no record, a session twice, a subject on two sides, or several grids.
    """

    def __init__(self, records: list[Record], root: str | Path) -> None:
        self.records = sorted(records, key=lambda record: record.name)
        self.root = Path(root)
        self._check()

    @classmethod
    def read(cls, root: str | Path) -> Self:
        """Read ``root/manifest.tsv``; MrcontrastError if it, or a file, is missing or malformed."""
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
        for record in manifest.records:
            for column, file_path in record.files.items():
                if not file_path.is_file():
                    raise manifest._fault(f"the {column} of {record.name}", f"no file {file_path}")
        return manifest

    @property
    def contrasts(self) -> list[str]:
        """Names of the contrasts that a record has."""
        return list(dict.fromkeys(name for record in self.records for name in record.images))

    def write(self) -> None:
        """Write ``root/manifest.tsv``, whole or not at all; paths become relative to root."""
        columns = columns_of(self.contrasts)
        rows = [columns, *(to_row(record, columns, self.root) for record in self.records)]
        write_text(self.root / MANIFEST, "".join("\t".join(row) + "\n" for row in rows))

    def split(self, name: str) -> list[Record]:
        """Return the records of "train", "val" or "test"; val may be empty."""
        if name not in SPLITS:
            raise MrcontrastError(f'Expected train, val or test, got "{name}" (split).')
        return [record for record in self.records if record.split == name]

    @property
    def data_hash(self) -> str:
        """Hash over the names and voxels of all sessions, whatever their split."""
        hashes = [[r.name, *(r.sha256[key] for key in sorted(r.sha256))] for r in self.records]
        return _digest(hashes)

    @property
    def split_hash(self) -> str:
        """Hash over who stands on which side."""
        return _digest(sorted({(r.subject, r.split) for r in self.records}))

    def facts(
        self, source: Sequence[str], target: str, optional: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Return what a trained model must know of its data, for ``provenance.json`` under "data".

        "source" (names), "optional" (names, if any), "target", "spacing_mm", "shape" (x, y, z
        voxels), and "name" and "clip" of the normaliser that all subjects share, under
        "normaliser_<contrast>". MrcontrastError: no session has one of the contrasts.
        """
        for name in source:
            if name not in self.contrasts:
                raise MrcontrastError(
                    f"Expected a session with {name}, got none ({self.root / MANIFEST}). Leave it "
                    "out of data.source and data.optional."
                )
        first = self.records[0]
        return {
            "source": list(source),
            **({"optional": list(optional)} if optional else {}),
            "target": target,
            "spacing_mm": float(first.spacing_mm),
            "shape": [int(size) for size in first.shape],
            **{f"normaliser_{name}": self._shared_settings(name) for name in self.contrasts},
        }

    def _shared_settings(self, contrast: str) -> dict[str, Any]:
        """Return the settings of a normaliser that all records share."""
        fitted = {r.name: r.normalisers[contrast] for r in self.records if contrast in r.images}
        settings = {n: {"name": each["name"], "clip": each["clip"]} for n, each in fitted.items()}
        first = next(iter(settings.values()))
        for name, found in settings.items():
            if found != first:
                raise MrcontrastError(
                    f"Expected one normaliser_{contrast} for all subjects, got {first} and "
                    f"{found} ({name}). Prepare the data set again."
                )
        return first

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

    def _fault(self, expected: str, got: str) -> MrcontrastError:
        return MrcontrastError(
            f"Expected {expected}, got {got} ({self.root / MANIFEST}). Prepare the data set again."
        )


def _digest(obj: Any) -> str:  # noqa: ANN401 - whatever JSON can hold
    """Return the SHA-256 of an object's JSON, in hexadecimal."""
    return hashlib.sha256(json.dumps(obj).encode()).hexdigest()
