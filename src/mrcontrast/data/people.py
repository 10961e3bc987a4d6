"""Tags of people: from participants.tsv and sessions.tsv."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mrcontrast.data.scan_tags import is_known, number_of

MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig", "UTF-8 with a byte order mark"),
    (b"\xff\xfe", "utf-16", "UTF-16"),
    (b"\xfe\xff", "utf-16", "UTF-16"),
)
MOST_NAMES = 6
SEX = {"m": "M", "male": "M", "f": "F", "female": "F"}


def read_people(path: Path, key: str) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Read ``participants.tsv`` or ``sessions.tsv``, if there is one.

    Returns:
        Known tags by the value of column ``key``, with its prefix: age in years as a number, sex as
        "F" or "M", others as text; several rows for one name give the values that they agree on.
        Then the faults of the table, each the rest of a sentence that begins with its name.
    """
    if not path.is_file():
        return {}, []
    text, faults = _decoded(path.read_bytes())
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter="\t")
    if key not in (reader.fieldnames or ()):
        return {}, [*faults, f"has no column {key}, so that nothing is known from it"]
    prefix = {"participant_id": "sub-", "session_id": "ses-"}[key]
    found: dict[str, list[dict[str, Any]]] = {}
    for row in reader:
        name = str(row.get(key) or "").strip()
        found.setdefault(prefix + name.removeprefix(prefix), []).append(_tags(row, key))
    if twice := [name for name, rows in found.items() if len(rows) > 1]:
        named = ", ".join(twice[:MOST_NAMES]) + (", ..." if len(twice) > MOST_NAMES else "")
        faults.append(f"has several rows of {named}; values that differ between them are left out")
    agreed = {
        name: {k: v for k, v in first.items() if all(row.get(k) == v for row in others)}
        for name, (first, *others) in found.items()
    }
    return agreed, faults


def _decoded(raw: bytes) -> tuple[str, list[str]]:
    """Return the text of a table, and a remark if it is not plain UTF-8."""
    for mark, encoding, name in MARKS:
        if raw.startswith(mark):
            return raw.decode(encoding, "replace"), [f"is {name}; it was read as such"]
    if raw.count(0) > len(raw) // 4:
        encoding = "utf-16-le" if raw[1:2] == b"\0" else "utf-16-be"
        return raw.decode(encoding, "replace"), ["is UTF-16; it was read as such"]
    try:
        return raw.decode("utf-8"), []
    except UnicodeDecodeError:
        return raw.decode("latin-1"), ["is not UTF-8; it was read as Latin-1"]


def _tags(row: Mapping[str | None, Any], key: str) -> dict[str, Any]:
    """Keep the known values of a row, and bring age and sex to one form."""
    tags: dict[str, Any] = {
        column: value
        for column, value in row.items()
        if column and column != key and isinstance(value, str) and is_known(value)
    }
    if (age := number_of(tags.get("age"))) is not None:
        tags["age"] = age
    if "sex" in tags:
        tags["sex"] = SEX.get(tags["sex"].strip().lower(), tags["sex"])
    return tags
