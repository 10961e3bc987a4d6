"""Which jobs of a folder the table ranks: those that the last start asked for."""

from collections.abc import Sequence
from pathlib import Path

from mrcontrast.sweeps.identity import difference
from mrcontrast.sweeps.jobs import FINISHED, Job, read_jobs
from mrcontrast.sweeps.plan import Plan
from mrcontrast.sweeps.record import STANDING, read_sweep

RANKED = ""
OTHER_VALUES = "other values"
COPY = "copy of another job"
EARLIER_VERSION = "of an earlier version"
ADDED = "of another sweep"


def standing_today(plan: Plan, known: Sequence[Job]) -> dict[str, str]:
    """Return why each job of an earlier start is not ranked, ``RANKED`` for one that would be.

    Its values are composed again: a job is as good as a new one if config, data and parents that
    these values lead to today are those that it was trained with.

    Args:
        plan: Of this start.
        known: Jobs in the order of their numbers.
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
    """Return why a job is not one that its values would give today, ``RANKED`` if it is."""
    if not job.identity:
        return EARLIER_VERSION
    if any(key.lstrip("+~").startswith("hydra") for key in job.varied):  # no sweep varies these
        return OTHER_VALUES
    other = difference(job.identity, plan.described(job.varied).identity)
    return RANKED if other is None else f"other {other}"


def standing_in(folder: Path, jobs: Sequence[Job]) -> dict[str, str]:
    """Return why each job of a sweep is not ranked, as its last start noted.

    Where an earlier version wrote the sweep's file, all are ranked.
    """
    noted = read_sweep(folder).get(STANDING)
    if noted is None:
        return {job.name: RANKED for job in jobs}
    return {job.name: noted.get(job.name, ADDED) for job in jobs}


def unfinished(folder: Path) -> list[Job]:
    """Return the jobs of the last start that are not finished."""
    jobs = read_jobs(folder)
    standing = standing_in(folder, jobs)
    return [job for job in jobs if standing[job.name] == RANKED and job.state != FINISHED]
