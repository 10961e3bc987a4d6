"""Record of a sweep: ``sweep.json`` in its folder with the ranked jobs, and a run in MLflow."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from mrcontrast.config.rules import TEXT, TEXT_TABLE, TEXTS, optional, read_table
from mrcontrast.errors import UsageError
from mrcontrast.runs.folder import RunFolder
from mrcontrast.storage.files import write_json
from mrcontrast.sweeps.identity import difference
from mrcontrast.sweeps.jobs import FINISHED, Job, read_jobs
from mrcontrast.sweeps.plan import Plan, is_free
from mrcontrast.tracking.no_tracker import NoTracker

SWEEP, STANDING = "sweep.json", "standing"
RULES = {
    "sweep": (TEXTS[0], lambda v: TEXTS[1](v) and len(v) > 0),
    STANDING: TEXT_TABLE,
    "mlflow_run_id": optional(TEXT),
}

# Reasons not to rank a job; "" for a ranked one.
RANKED = ""
OTHER_VALUES = "other values"
COPY = "copy of another job"
EARLIER_VERSION = "of an earlier version"
ADDED = "of another sweep"


def read_sweep(folder: Path) -> dict[str, Any]:
    """Return the content of a sweep's file, empty for a new sweep."""
    path = folder / SWEEP
    if not path.is_file():
        return {}
    advice = "Restore it, or remove it: the jobs have files of their own."
    return read_table(
        *(path, RULES, "the file of a sweep", advice),
        lambda found: {**found, "sweep": found["sweep"]},  # a file without it is damaged
    )


def check_same_sweep(plan: Plan) -> None:
    """Raise UsageError if a folder holds a sweep with other shared overrides."""
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
    """Open the sweep's run in MLflow, a new one or the earlier one."""
    tracker.takes_up_lost_runs = True
    typed = [*plan.fixed, *(str(override.input_line) for override in plan.dimensions)]
    settings = OmegaConf.create({"command": plan.command, "overrides": typed})
    tracker.open(RunFolder(plan.folder), settings, read_sweep(plan.folder).get("mlflow_run_id"))


def note_sweep(plan: Plan, run_id: str | None, standing: Mapping[str, str]) -> None:
    """Write the sweep's file, with its MLflow run and the standing of each job by name."""
    shared = [plan.command, *plan.identity()]
    found = {"sweep": shared, "mlflow_run_id": run_id, STANDING: dict(standing)}
    write_json(plan.folder / SWEEP, found)


def standing_today(plan: Plan, known: Sequence[Job]) -> dict[str, str]:
    """Return the present standing of each job of an earlier start, in order.

    A job is ranked if its values lead to the config, data and parents that it was trained with.
    """
    standing: dict[str, str] = {}
    valid: list[dict[str, str]] = []
    for job in known:
        reason = COPY if job.identity in valid else reason_today(plan, job)
        standing[job.name] = reason
        if reason == RANKED:
            valid.append(job.identity)
    return standing


def reason_today(plan: Plan, job: Job) -> str:
    """Return the reason not to rank a job now; ``RANKED`` if there is none."""
    if not job.identity:
        return EARLIER_VERSION
    if any(key.lstrip("+~").startswith("hydra") for key in job.varied):  # no sweep varies these
        return OTHER_VALUES
    other = difference(job.identity, plan.described(job.varied).identity)
    return RANKED if other is None else f"other {other}"


def standing_in(folder: Path, jobs: Sequence[Job]) -> dict[str, str]:
    """Return the standing of each job at the last start; all are ranked without a record of it."""
    noted = read_sweep(folder).get(STANDING)
    if noted is None:
        return {job.name: RANKED for job in jobs}
    return {job.name: noted.get(job.name, ADDED) for job in jobs}


def unfinished(folder: Path) -> list[Job]:
    """Return the ranked jobs that are not finished."""
    jobs = read_jobs(folder)
    standing = standing_in(folder, jobs)
    return [job for job in jobs if standing[job.name] == RANKED and job.state != FINISHED]
