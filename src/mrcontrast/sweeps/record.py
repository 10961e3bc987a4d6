"""What a sweep as a whole leaves: a file in its folder, and a run in MLflow."""

import json
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from mrcontrast.errors import UsageError
from mrcontrast.files import write_json
from mrcontrast.run_folder import RunFolder
from mrcontrast.sweeps.plan import Plan, is_free
from mrcontrast.tracking import NoTracker

SWEEP = "sweep.json"


def read_sweep(folder: Path) -> dict[str, Any]:
    """Return what a sweep's file says; empty for a new one."""
    path = folder / SWEEP
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


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


def note_sweep(plan: Plan, tracker: NoTracker) -> None:
    """Write the sweep's file."""
    found = {"sweep": [plan.command, *plan.identity()], "mlflow_run_id": tracker.run_id}
    write_json(plan.folder / SWEEP, found)
    tracker.log_tags({"mrcontrast.sweep": plan.folder.name})
