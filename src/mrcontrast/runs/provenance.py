"""Read ``provenance.json`` of a run folder and check the types of its known keys."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mrcontrast.config.earlier_stages import ROLES
from mrcontrast.config.rules import (
    FINITE,
    TABLE,
    TEXT,
    TEXT_TABLE,
    Rule,
    is_text,
    misfit,
    optional,
    read_table,
)

NUMBER = optional(FINITE)
START = {"seconds": NUMBER, "path": optional(TEXT)}


def is_start(value: Any) -> bool:  # noqa: ANN401
    """Return whether a value names the run that a training started from."""
    named = isinstance(value, dict) and is_text(value.get("weights_sha256"))
    return named and misfit(value, START) is None


def is_data(value: Any) -> bool:  # noqa: ANN401
    """Return whether a value has the types of ``data_facts``."""
    if not isinstance(value, dict):
        return False
    shape, spacing = value.get("shape", [1, 1, 1]), value.get("spacing_mm", 1.0)
    normalisers = [node for key, node in value.items() if str(key).startswith("normaliser_")]
    lists = [value.get("source", []), value.get("optional", [])]
    return (
        isinstance(value.get("target", ""), str)
        and all(isinstance(names, list) for names in lists)
        and all(isinstance(name, str) for names in lists for name in names)
        and isinstance(shape, list)
        and len(shape) == 3
        and all(type(size) is int and size > 0 for size in shape)
        and isinstance(spacing, int | float)
        and spacing > 0
        and all(isinstance(node, dict) and is_text(node.get("name", "")) for node in normalisers)
    )


def is_score(value: Any) -> bool:  # noqa: ANN401
    """Return whether a value is the score of a run."""
    return isinstance(value, dict) and misfit(value, {"value": NUMBER}) is None


TYPES: Mapping[str, Rule] = {
    "stage": optional(TEXT),
    "mlflow_run_id": optional(TEXT),
    "weights_sha256": TEXT,
    "config_sha256": TEXT,
    "parents": TEXT_TABLE,
    "start_from": optional(("a table with weights_sha256", is_start)),
    "exported_from": optional(TABLE),
    "versions": optional(TABLE),
    "seconds": NUMBER,
    "score": optional(("a table with a value", is_score)),
    "data": optional(("a table of grid and normalisers", is_data)),
    "report_card": optional(TABLE),
}


def read_provenance(path: Path) -> dict[str, Any]:
    """Read the provenance of a run; raise MrcontrastError if it is damaged.

    A run of an earlier version does not name its contrasts, which were always the same.
    """
    found = read_table(path, TYPES, "the provenance of a run", "Restore the file.", dict)
    if isinstance(data := found.get("data"), dict):
        found["data"] = ROLES | data
    return found
