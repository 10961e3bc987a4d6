"""Costs of the methods of an evaluation, from the sidecars of their predictions."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from mrcontrast.evaluation.table import to_markdown
from mrcontrast.runs.folder import RunFolder
from mrcontrast.storage.files import write_json, write_text


def add_costs(
    out: Path, predictions: Mapping[str, Path], runs: Mapping[str, Sequence[Path]]
) -> dict[str, Any]:
    """Add the costs of methods to the evaluation in a folder, and return its new summary.

    Predictions, with their sidecars, and runs, of the model and all that it was built on, come by
    method.
    """
    summary: dict[str, Any] = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    summary["costs"] = {name: read_costs(place, runs[name]) for name, place in predictions.items()}
    write_text(out / "summary.md", to_markdown(summary))
    write_json(out / "summary.json", summary)
    return summary


def read_costs(predictions: Path, runs: Sequence[Path]) -> dict[str, float | None]:
    """Return the costs of one method; None where unknown.

    Seconds are the median over volumes, since the first one includes the setup.
    """
    paths = sorted(predictions.glob("[!.]*.json"))
    sidecars = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    costs = [sidecar.get("Cost") or {} for sidecar in sidecars]
    return {
        "parameters": max(known(costs, "Parameters"), default=None),
        "network_calls": max(known(costs, "NetworkCalls"), default=None),
        "seconds_a_volume": median(seconds) if (seconds := known(sidecars, "Seconds")) else None,
        "peak_memory_gib": max(known(costs, "PeakMemoryGiB"), default=None),
        "training_minutes": training_minutes(runs),
    }


def training_minutes(runs: Sequence[Path]) -> float | None:
    """Return the total time of trainings and of their starting weights; None if unknown."""
    origins = [RunFolder(run).provenance for run in runs]
    seconds: list[Any] = [origin.get("seconds") for origin in origins]
    seconds += [(origin.get("start_from") or {}).get("seconds", 0.0) for origin in origins]
    return None if not seconds or None in seconds else sum(seconds) / 60


def known(nodes: Sequence[Mapping[str, Any]], key: str) -> list[float]:
    """Return the values of a key that are there."""
    return [node[key] for node in nodes if node.get(key) is not None]
