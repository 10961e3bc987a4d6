"""Run a sweep (``-m``): start its jobs, record their ends, print the table."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mrcontrast.config.build import build
from mrcontrast.storage.files import check_links, remove_left_over
from mrcontrast.storage.folder_lock import alone
from mrcontrast.sweeps import jobs
from mrcontrast.sweeps.jobs import (
    FAILED,
    FINISHED,
    JOB,
    LOCK,
    LOG,
    RUNNING,
    Job,
    monitor_of,
    read_jobs,
)
from mrcontrast.sweeps.launchers import Handle, Processes, Submitit
from mrcontrast.sweeps.plan import Plan, read_plan
from mrcontrast.sweeps.record import (
    OTHER_VALUES,
    RANKED,
    check_same_sweep,
    note_sweep,
    open_record,
    standing_today,
    unfinished,
)
from mrcontrast.sweeps.search import Point, Search
from mrcontrast.sweeps.table import show, write_csv
from mrcontrast.tracking.no_tracker import NoTracker, status_after
from mrcontrast.training.callbacks.checkpoints import terminable

log = logging.getLogger(__name__)

LOST_ATTEMPTS = 3  # starts in one sweep of a job that dies without a recorded end
POLL_SECONDS = 0.2


def sweep(command: str, arguments: Sequence[str]) -> int:
    """Run a sweep, reuse its finished jobs, and return exit code 0 if all are finished, else 1.

    Raises:
        UsageError: The overrides do not fit the configs, or the folder holds another sweep.
        MrcontrastError: The sweep runs already, or MLflow does not answer.
    """
    plan, search, launcher = read_plan(command, arguments)
    with alone(plan.folder, LOCK, "sweep"), terminable():
        check_links(plan.folder, plan.folder.rglob("*"), "sweep", "choose another name=NAME")
        check_same_sweep(plan)
        remove_left_over(plan.folder)
        known = read_jobs(plan.folder)
        standing = standing_today(plan, known)
        valid = [job for job in known if standing[job.name] == RANKED]
        search.open(plan.dimensions, monitor_of(plan.command, plan.config)[1], valid)
        standing |= {job.name: OTHER_VALUES for job in valid if not search.asks_for(job)}
        tracker: NoTracker = build(plan.config.logger)
        named = {job.name: job for job in known}
        running = Sweep(plan, search, launcher, tracker, named, standing)
        open_record(plan, tracker)
        try:
            running.note()
            tracker.log_tags({"mrcontrast.sweep": plan.folder.name})
            failed = running.work()
            tracker.log_file(write_csv(plan.folder))
        except BaseException as error:
            running.stop()
            tracker.close(status_after(error))
            raise
        tracker.close("FAILED" if failed else "FINISHED")
    show(plan.folder)
    if failed:
        log.warning("Not finished: %d. log.txt in the folder of a job says why.", failed)
    return 1 if failed else 0


@dataclass(eq=False)
class Sweep:
    """The jobs of one sweep while it runs."""

    plan: Plan
    search: Search
    launcher: Processes | Submitit
    tracker: NoTracker
    jobs: dict[str, Job]  # of earlier starts by name
    standing: dict[str, str]  # see ``standing_today``
    running: list[tuple[Point, Job, Handle]] = field(default_factory=list)
    lost: dict[str, int] = field(default_factory=dict)  # kills of each job
    settled: dict[str, Job] = field(default_factory=dict)  # jobs that have ended

    def work(self) -> int:
        """Run all jobs, and return the number of ranked ones that are not finished."""
        self.tracker.kill_lost_children(is_alive)
        at_once = self.launcher.n_jobs
        log.info("%d jobs, %d at once -> %s", self.search.size, at_once, self.plan.folder)
        asking = True
        while asking or self.running:
            while asking and len(self.running) < self.launcher.n_jobs:
                point = self.search.ask()
                asking = point is not None
                if point is not None:
                    self.take(point)
            self.check()
            if self.running:
                time.sleep(POLL_SECONDS)
        self.tracker.kill_lost_children(is_alive)
        return len(unfinished(self.plan.folder))

    def take(self, point: Point) -> None:
        """Start the job of a point, unless it runs already."""
        job = self.plan.job(point, self.jobs)
        if any(job.name == other.name for _, other, _ in self.running):
            return
        job.parent_run = self.tracker.run_id
        self.jobs[job.name] = job
        if self.standing.get(job.name) != RANKED:
            self.standing[job.name] = RANKED
            self.note()
        self.start(point, job)

    def note(self) -> None:
        """Write the sweep's file."""
        note_sweep(self.plan, self.tracker.run_id, self.standing)

    def start(self, point: Point, job: Job) -> None:
        """Start a job, unless a process of an earlier sweep works on it or has finished it."""
        state = job.offer()
        if state == FINISHED:
            self.settle(point, job, "finished before")
        elif state == RUNNING:
            log.info("%s: still running (%s), waiting for it", job.name, job.process)
            self.running.append((point, job, adopted(job)))
        else:
            self.running.append((point, job, self.launcher.start(job)))

    def check(self) -> None:
        """Settle the jobs whose process has ended, or start them again if they were killed."""
        for entry in [entry for entry in self.running if entry[2].done()]:
            self.running.remove(entry)
            point, before, handle = entry
            job = self.jobs[before.name] = Job.read(before.folder)
            if job.is_worked_on():  # by a process of an earlier sweep
                self.running.append((point, job, adopted(job)))
            elif job.state in (FINISHED, FAILED):
                self.settle(point, job, job.state)
            else:
                self.again(point, job, handle.reason())

    def again(self, point: Point, job: Job, reason: str) -> None:
        """Start a killed job again, up to ``LOST_ATTEMPTS`` times."""
        self.tracker.kill_lost_children(is_alive)
        times = self.lost[job.name] = self.lost.get(job.name, 0) + 1
        if times < LOST_ATTEMPTS:
            job.note("lost")
            log.info("%s: %s; it is started again", job.name, reason)
            self.start(point, job)
            return
        job.end(FAILED, error=f"Expected a job that ends, got one {reason} {times} times")
        self.settle(point, job, FAILED)

    def settle(self, point: Point, job: Job, how: str) -> None:
        """Report a job that has ended to search, table, record and terminal."""
        self.settled[job.name] = job
        self.search.tell(point, job.score if job.state == FINISHED else None)
        write_csv(self.plan.folder)
        if job.state == FINISHED and job.score is not None:
            self.tracker.log_metrics({"score": job.score}, job.number)
        if job.state == FAILED:
            self.tracker.note_failed_child(job.folder, job.error)
        score = "no score" if job.score is None else f"{job.monitor} {job.score:.5g}"
        result = score if job.state == FINISHED else f"{job.error} ({job.folder / LOG})"
        head = f"[{len(self.settled)}/{self.search.size}] {job.name}"
        log.info("%s: %s, %s, %.0f s", head, how, result, job.seconds)

    def stop(self) -> None:
        """Ask the jobs to save and end, and wait for them."""
        for _, _, handle in self.running:
            handle.stop()
        ours = [entry for entry in self.running if not entry[2].adopted]
        while any(not handle.done() for _, _, handle in ours):
            time.sleep(POLL_SECONDS)
        for _, before, _ in ours:
            job = Job.read(before.folder)
            if job.state not in (FINISHED, FAILED, jobs.STOPPED):
                job.end(jobs.STOPPED)
        write_csv(self.plan.folder)


def adopted(job: Job) -> Handle:
    """Return the handle of a job whose process outlived its sweep."""
    return Handle(lambda: not job.is_worked_on(), adopted=True)


def is_alive(folder: str) -> bool:
    """Return whether a process works on the job of a run's folder, or of one above it."""
    for place in (Path(folder), *Path(folder).parents):
        if (place / JOB).is_file():
            return Job.read(place).is_worked_on()
    return False
