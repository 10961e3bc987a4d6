"""What each method of an evaluation costs, from the sidecars of its predictions."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from mrcontrast.evaluation.table import to_markdown
from mrcontrast.runs.folder import RunFolder
from mrcontrast.storage.files import write_json, write_text


@dataclass(frozen=True)
class Source:
    """Where the costs of a method stand.

    Attributes:
        predictions: Folder of its predictions with their sidecars.
        runs: Run folders of the model and all that it was built on, each once.
    """

    predictions: Path
    runs: Sequence[Path] = ()


def add_costs(out: Path, sources: Mapping[str, Source]) -> dict[str, Any]:
    """Add the costs of methods to an evaluation that is there, and write it anew.

    Args:
        out: Folder with summary.json.
        sources: By name of the method.

    Returns:
        What summary.json holds now.
    """
    summary: dict[str, Any] = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    summary["costs"] = {method: read_costs(source) for method, source in sources.items()}
    write_text(out / "summary.md", to_markdown(summary))
    write_json(out / "summary.json", summary)
    return summary


def read_costs(source: Source) -> dict[str, float | None]:
    """Return the costs of one method; None where no sidecar says.

    Seconds are the median over volumes: the first one also pays for what is set up once.
    """
    paths = sorted(source.predictions.glob("[!.]*.json"))
    sidecars = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    costs = [sidecar.get("Cost") or {} for sidecar in sidecars]
    return {
        "parameters": largest(cost.get("Parameters") for cost in costs),
        "network_calls": largest(cost.get("NetworkCalls") for cost in costs),
        "seconds_a_volume": median_of(sidecar.get("Seconds") for sidecar in sidecars),
        "peak_memory_gib": largest(cost.get("PeakMemoryGiB") for cost in costs),
        "training_minutes": training_minutes(source.runs),
    }


def training_minutes(runs: Sequence[Path]) -> float | None:
    """Return the time that trainings took together, what they started from at first included.

    None if one does not say, or is not there, or there is none.
    """
    origins = [RunFolder(run).provenance for run in runs]
    seconds: list[Any] = [origin.get("seconds") for origin in origins]
    seconds += [(origin.get("start_from") or {}).get("seconds", 0.0) for origin in origins]
    return None if not seconds or None in seconds else sum(seconds) / 60


def largest(values: Any) -> float | None:  # noqa: ANN401 - an iterable of numbers and None
    """Return the largest number, None if there is none."""
    return max((value for value in values if value is not None), default=None)


def median_of(values: Any) -> float | None:  # noqa: ANN401 - an iterable of numbers and None
    """Return the median number, None if there is none."""
    known = [value for value in values if value is not None]
    return median(known) if known else None
