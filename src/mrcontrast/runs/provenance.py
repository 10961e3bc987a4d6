"""Read ``provenance.json`` of a run folder and check the types of its known keys."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mrcontrast.config import rules
from mrcontrast.config.moved import ROLES
from mrcontrast.config.rules import FINITE, TABLE, TEXT, TEXT_TABLE, Rule, optional

NUMBER = optional(FINITE)
START = {"weights_sha256": TEXT, "seconds": NUMBER, "path": optional(TEXT)}
SIZE = rules.whole(1)[1]
NAMED = rules.table("a normaliser", {"name": TEXT})[1]
DATA: Mapping[str, Rule] = {  # see ``Manifest.facts``
    "target": TEXT,
    "source": rules.TEXTS,
    "optional": rules.TEXTS,
    "shape": ("3 sizes", lambda v: isinstance(v, list) and len(v) == 3 and all(map(SIZE, v))),
    "spacing_mm": rules.POSITIVE,
}


def is_data(value: Any) -> bool:  # noqa: ANN401
    """Return whether a value has the types of ``Manifest.facts``."""
    if not isinstance(value, dict) or rules.misfit(value, DATA) is not None:
        return False
    return all(NAMED(node) for key, node in value.items() if str(key).startswith("normaliser_"))


TYPES: Mapping[str, Rule] = {
    "stage": optional(TEXT),
    "mlflow_run_id": optional(TEXT),
    "weights_sha256": TEXT,
    "config_sha256": TEXT,
    "parents": TEXT_TABLE,
    "start_from": optional(rules.table("a table with weights_sha256", START, "weights_sha256")),
    "exported_from": optional(TABLE),
    "versions": optional(TABLE),
    "seconds": NUMBER,
    "score": optional(rules.table("a table with a value", {"value": NUMBER})),
    "data": optional(("a table of grid and normalisers", is_data)),
    "report_card": optional(TABLE),
}


def read_provenance(path: Path) -> dict[str, Any]:
    """Read the provenance of a run; raise MrcontrastError if it is damaged.

    A run of an earlier version does not name its contrasts, which were always the same.
    """
    found = rules.read_table(path, TYPES, "the provenance of a run", "Restore the file.", dict)
    if isinstance(data := found.get("data"), dict):
        found["data"] = ROLES | data
    return found
