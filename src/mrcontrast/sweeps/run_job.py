"""``python -m mrcontrast.sweeps.run_job FOLDER``: run one job of a sweep."""

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
from mrcontrast.sweeps.jobs import FAILED, FINISHED, STOPPED, Job, score_of
from mrcontrast.training.resume import is_first_process

PARENT_VARIABLE = "MRCONTRAST_PARENT_RUN"  # read by configs/logger/mlflow.yaml


def run_job(folder: str | Path) -> str:
    """Run a job or wait for its process, record its end, and return its state.

    A stop passes as KeyboardInterrupt or SystemExit; the next start goes on from the checkpoint.
    """
    if not is_first_process():  # one of several that Lightning starts
        WORK[Job.read(folder).command](Job.read(folder))
        return FINISHED
    with Job.read(folder).lock():
        job = Job.read(folder)  # it may have ended meanwhile
        if job.state == FINISHED:
            return FINISHED
        for place, *_ in os.walk(job.folder):
            remove_left_over(Path(place))
        job.begin()
        began = time.monotonic()
        try:
            job.score = WORK[job.command](job)
            if job.score is not None and not math.isfinite(job.score):
                score, job.score = job.score, None
                raise MrcontrastError(
                    f"Expected a finite score, got {score}. Look at the job's log.txt."
                )
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


def do_training(job: Job) -> float | None:
    """Train as ``mrcontrast train`` does, in a run below the sweep's."""
    from mrcontrast.commands.train import train

    config = composed(job)
    set_parent(job.parent_run)
    score = train(config)
    job.steps = RunFolder(job.folder).provenance.get("steps")
    return score


def do_study(job: Job) -> float | None:
    """Run a study in an MLflow run above those of its trainings."""
    from mrcontrast.config.build import build, resolve
    from mrcontrast.study.command import study
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
    """Return the config of a job; MrcontrastError if config, data or parents have changed."""
    if job.identity:
        today = identity_of(job.command, compose(job.command, job.overrides[:-2]))
        if other := difference(job.identity, today):
            raise MrcontrastError(
                f"Expected the {other} of the sweep's start, got other ones ({job.folder}). "
                "Start the sweep again: the job gets a folder of its own."
            )
    return compose(job.command, job.overrides)


def set_parent(run_id: str | None) -> None:
    """Set the MLflow run above the runs of this process."""
    os.environ.pop(PARENT_VARIABLE, None)
    if run_id is not None:
        os.environ[PARENT_VARIABLE] = run_id


WORK: dict[str, Callable[[Job], Any]] = {"train": do_training, "study": do_study}


def main() -> int:
    """Run the job of the command line; its output is the job's log."""
    show_progress()
    state = run_job(sys.argv[1])
    if state == FAILED:
        sys.stderr.write(f"mrcontrast: error: {Job.read(sys.argv[1]).error}\n")
    return 0 if state == FINISHED else 1


if __name__ == "__main__":
    sys.exit(main())
