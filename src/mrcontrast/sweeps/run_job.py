"""``python -m mrcontrast.sweeps.run_job FOLDER``: one job of a sweep in a process of its own."""

import math
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from mrcontrast.config.build import compose
from mrcontrast.config.logs import show_progress
from mrcontrast.errors import MrcontrastError, one_line, with_cause
from mrcontrast.runs.folder import RunFolder
from mrcontrast.storage.files import remove_left_over
from mrcontrast.sweeps.identity import difference, identity_of
from mrcontrast.sweeps.jobs import FAILED, FINISHED, STOPPED, Job
from mrcontrast.training.resume import is_first_process

PARENT_VARIABLE = "MRCONTRAST_PARENT_RUN"  # read by configs/logger/mlflow.yaml


def run_job(folder: str | Path) -> str:
    """Do a job, or wait for the process that does it; how it ended is written to its file.

    Args:
        folder: Of the job.

    Returns:
        Its state: finished or failed.

    Raises:
        KeyboardInterrupt: It was stopped; it goes on from its last checkpoint another time.
        SystemExit: The same.
    """
    if not is_first_process():  # Lightning starts others that train with it
        WORK[Job.read(folder).command](Job.read(folder))
        return FINISHED
    with Job.read(folder).lock():
        job = Job.read(folder)  # it may have been done while we waited
        if job.state == FINISHED:
            return FINISHED
        for place, *_ in os.walk(job.folder):
            remove_left_over(Path(place))  # a killed attempt may have left some
        job.begin()
        began = time.monotonic()
        try:
            job.score = checked(WORK[job.command](job))
        except MrcontrastError as error:
            job.end(FAILED, time.monotonic() - began, one_line(error))
        except Exception as error:
            traceback.print_exc()
            message = f"{type(error).__name__}: {with_cause(error)}"
            job.end(FAILED, time.monotonic() - began, message)
        except BaseException:
            job.end(STOPPED, time.monotonic() - began)
            raise
        else:
            job.end(FINISHED, time.monotonic() - began)
        return job.state


def checked(score: float | None) -> float | None:
    """Return a score that can be ranked.

    Raises:
        MrcontrastError: It is not finite.
    """
    if score is not None and not math.isfinite(score):
        raise MrcontrastError(f"Expected a finite score, got {score}. Look at the job's log.txt.")
    return score


def do_training(job: Job) -> float | None:
    """Train, as ``mrcontrast train`` does; the run becomes a child of the sweep's."""
    from mrcontrast.commands.train import train

    config = composed(job)
    set_parent(job.parent_run)
    score = train(config)
    job.steps = RunFolder(job.folder).provenance.get("steps")
    return score


def do_study(job: Job) -> float | None:
    """Run a study in an MLflow run of its own, to which those of its trainings belong."""
    from mrcontrast.config.build import build, resolve
    from mrcontrast.study.command import study
    from mrcontrast.sweeps.objective import score_of
    from mrcontrast.tracking.no_tracker import recorded

    config = composed(job)
    set_parent(job.parent_run)
    tracker = build(config.logger)
    tracker.open(RunFolder(job.folder), resolve(config), None)
    with recorded(tracker):
        set_parent(tracker.run_id)
        study(config)
        score = score_of(config)
        tracker.log_metrics({"best_score": score}, 0)
        for page in sorted(job.folder.glob("report*/report.html")):
            tracker.log_file(page, page.parent.name)
    return score


def composed(job: Job) -> DictConfig:
    """Return the config of a job.

    Raises:
        MrcontrastError: Config, data or parents have changed since the sweep asked for the job.
    """
    if job.identity:
        today = identity_of(job.command, compose(job.command, job.deciding_overrides))
        if other := difference(job.identity, today):
            raise MrcontrastError(
                f"Expected the {other} of the sweep's start, got other ones ({job.folder}). "
                "Start the sweep again: the job gets a folder of its own."
            )
    return compose(job.command, job.overrides)


def set_parent(run_id: str | None) -> None:
    """Let the runs of this process belong to an MLflow run, or to none."""
    if run_id is None:
        os.environ.pop(PARENT_VARIABLE, None)
    else:
        os.environ[PARENT_VARIABLE] = run_id


WORK: dict[str, Callable[[Job], Any]] = {"train": do_training, "study": do_study}


def main() -> int:
    """Do the job that the command line names; its output is the job's log."""
    show_progress()
    state = run_job(sys.argv[1])
    if state == FAILED:
        sys.stderr.write(f"mrcontrast: error: {Job.read(sys.argv[1]).error}\n")
    return 0 if state == FINISHED else 1


if __name__ == "__main__":
    sys.exit(main())
