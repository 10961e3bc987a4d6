"""``provenance.json`` of a run folder, each known key of its type."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mrcontrast.errors import MrcontrastError, one_line


def is_text(value: Any) -> bool:  # noqa: ANN401
    """Return whether a value is a text."""
    return isinstance(value, str)


def is_name(value: Any) -> bool:  # noqa: ANN401
    """Return whether a value is a text, or null."""
    return value is None or is_text(value)


def is_number(value: Any) -> bool:  # noqa: ANN401
    """Return whether a value is a number, or null."""
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def is_table(value: Any) -> bool:  # noqa: ANN401
    """Return whether a value is a table, or null."""
    return value is None or isinstance(value, dict)


def is_hash_table(value: Any) -> bool:  # noqa: ANN401
    """Return whether a value maps names to hashes."""
    return isinstance(value, dict) and all(map(is_text, value.values()))


def is_start(value: Any) -> bool:  # noqa: ANN401
    """Return whether a value says which run a training started from, or is null."""
    if not isinstance(value, dict):
        return value is None
    seconds, path = value.get("seconds"), value.get("path")
    return is_text(value.get("weights_sha256")) and is_number(seconds) and is_name(path)


def is_score(value: Any) -> bool:  # noqa: ANN401
    """Return whether a value is a score, or null."""
    return value is None or (isinstance(value, dict) and is_number(value.get("value")))


def is_data(value: Any) -> bool:  # noqa: ANN401
    """Return whether a value is what ``data_facts`` returns, or null."""
    if not isinstance(value, dict):
        return value is None
    shape = value.get("shape", [1, 1, 1])
    spacing = value.get("spacing_mm", 1.0)
    normalisers = [node for key, node in value.items() if key.startswith("normaliser_")]
    sources = value.get("source", [])
    return (
        is_name(value.get("target"))
        and isinstance(sources, list)
        and all(map(is_text, sources))
        and isinstance(shape, list)
        and len(shape) == 3
        and all(type(size) is int and size > 0 for size in shape)
        and isinstance(spacing, int | float)
        and spacing > 0
        and all(isinstance(node, dict) and is_text(node.get("name", "")) for node in normalisers)
    )


TYPES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "stage": (is_name, "a text, or null"),
    "mlflow_run_id": (is_name, "a text, or null"),
    "weights_sha256": (is_text, "a text"),
    "config_sha256": (is_text, "a text"),
    "parents": (is_hash_table, "a table of hashes"),
    "start_from": (is_start, "a table with weights_sha256, or null"),
    "exported_from": (is_table, "a table, or null"),
    "versions": (is_table, "a table, or null"),
    "seconds": (is_number, "a number, or null"),
    "score": (is_score, "a table with a value, or null"),
    "data": (is_data, "a table of grid and normalisers, or null"),
    "report_card": (is_table, "a table, or null"),
}


def read_provenance(path: Path) -> dict[str, Any]:
    """Read where a run comes from.

    Raises:
        MrcontrastError: The file is not JSON, or the value of a known key is of another type.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise MrcontrastError(
            f"Expected JSON, got: {one_line(error, most=200)} ({path}). Restore the file."
        ) from error
    if not isinstance(found, dict):
        raise MrcontrastError(
            f"Expected a table, got {type(found).__name__} ({path}). Restore the file."
        )
    for key, (fits, wanted) in TYPES.items():
        if key in found and not fits(found[key]):
            raise MrcontrastError(
                f"Expected {wanted}, got {str(found[key])[:80]} ({path}, {key}). Restore the file."
            )
    return found
