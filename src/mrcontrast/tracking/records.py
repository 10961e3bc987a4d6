"""Read the lines of an outbox, which may come from anywhere."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mrcontrast.errors import MrcontrastError, one_line

ADDRESS = "to"  # key of the first line: where to send the others


def address_of(path: Path) -> tuple[str, str] | None:
    """Return store and run id in the first line of an outbox; None if it has none."""
    match record_in(next(iter(lines_of(path)), "")):
        case {"to": {"uri": str(uri), "run_id": str(run_id)}} if uri.isprintable():
            return uri, run_id
    return None


def read_records(path: Path) -> tuple[list[dict[str, Any]], list[int]]:
    """Return the records of an outbox, and the numbers of lines that hold none."""
    found = [record_in(line) for line in lines_of(path)]
    wrong = [number for number, record in enumerate(found, start=1) if record is None]
    records = [record for record in found if record is not None and ADDRESS not in record]
    return records, wrong


def lines_of(path: Path) -> list[str]:
    """Return the lines of an outbox; raise MrcontrastError if it cannot be read."""
    try:
        if not path.is_file():  # a pipe or a device has no end
            raise FileNotFoundError("no regular file")
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise MrcontrastError(
            f"Expected records for MLflow, got: {one_line(error)} ({path}). Remove the file."
        ) from error


def record_in(line: str) -> dict[str, Any] | None:
    """Return the record of a line; None if it holds none."""
    try:
        record: Any = json.loads(line)
    except (ValueError, RecursionError):
        return None
    match record:
        case {"metrics": list(rows)}:
            right = all(map(is_metric, rows))
        case {"parameters": dict(items)} | {"tags": dict(items)}:
            right = all(isinstance(value, str) for value in items.values())
        case {"artifact": str(), "folder": None | str()} | {"to": dict()} | {"status": "RUNNING"}:
            right = True
        case {"status": str(), "time_ms": int()}:
            right = True
        case _:
            right = False
    return record if right else None


def is_metric(row: object) -> bool:
    """Return whether a row is name, value, time (ms) and step of a metric."""
    match row:
        case [str(), int() | float(), int(), int()]:
            return True
    return False


def is_below(folder: Path, name: str) -> bool:
    """Return whether a file is inside a folder once links are followed."""
    root = folder.resolve()
    try:
        return (root / name).resolve().is_relative_to(root)
    except (OSError, RuntimeError, ValueError):  # a circle of links, an impossible name
        return False


def joined(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Join consecutive metrics, which may wait by the thousand, into one record."""
    out: list[dict[str, Any]] = []
    for record in records:
        if "metrics" in record and out and "metrics" in out[-1]:
            out[-1] = {"metrics": [*out[-1]["metrics"], *record["metrics"]]}
        else:
            out.append(record)
    return out


def parts(items: list[Any], size: int) -> Iterator[list[Any]]:
    """Yield the items in lists of at most ``size``."""
    return (items[start : start + size] for start in range(0, len(items), size))
