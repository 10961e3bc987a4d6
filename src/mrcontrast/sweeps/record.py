"""The record of a sweep as a whole: a file in its folder, and a run in MLflow."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from mrcontrast.errors import MrcontrastError, UsageError, one_line
from mrcontrast.runs.folder import RunFolder
from mrcontrast.storage.files import write_json
from mrcontrast.sweeps.plan import Plan, is_free
from mrcontrast.tracking.no_tracker import NoTracker

SWEEP, STANDING = "sweep.json", "standing"


def read_sweep(folder: Path) -> dict[str, Any]:
    """Return the content of a sweep's file; empty for a new one.

    Raises:
        MrcontrastError: It is not the file of a sweep.
    """
    path = folder / SWEEP
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        _, *_ = found["sweep"]
        words = [*found["sweep"], *found.get(STANDING, {}).values(), found["mlflow_run_id"] or ""]
        if not all(isinstance(word, str) for word in words):
            raise TypeError("a value that is no text")
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise MrcontrastError(
            f"Expected the file of a sweep, got: {one_line(error)} ({path}). Restore it, or remove "
            "it: the jobs have files of their own."
        ) from error
    return dict(found)


def refuse_other_sweep(plan: Plan) -> None:
    """Refuse a folder that holds another sweep.

    Raises:
        UsageError: It has other shared overrides.
    """
    before = read_sweep(plan.folder)
    if not before:
        return
    command, *shared = before["sweep"]
    there = [command, *(text for text in shared if not is_free(text))]
    ours = [plan.command, *plan.identity()]
    if there != ours:
        raise UsageError(
            f"Expected the sweep that is there, of {' '.join(there)}, got one of "
            f"{' '.join(ours)} ({plan.folder}). Choose another name=NAME."
        )


def open_record(plan: Plan, tracker: NoTracker) -> None:
    """Open the sweep's run in MLflow: a new one, or the one that it had.

    Raises:
        MrcontrastError: MLflow does not answer.
    """
    tracker.takes_up_lost_runs = True
    settings = OmegaConf.create({"command": plan.command, "overrides": plan.texts()})
    tracker.open(RunFolder(plan.folder), settings, read_sweep(plan.folder).get("mlflow_run_id"))


def note_sweep(plan: Plan, run_id: str | None, standing: Mapping[str, str]) -> None:
    """Write the sweep's file.

    Args:
        plan: The sweep.
        run_id: Its MLflow run.
        standing: Name of a job -> why it is not ranked, "" for one that is.
    """
    shared = [plan.command, *plan.identity()]
    found = {"sweep": shared, "mlflow_run_id": run_id, STANDING: dict(standing)}
    write_json(plan.folder / SWEEP, found)
