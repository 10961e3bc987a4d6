"""Twenty kills at random moments: nothing is lost, nothing is left over."""

import csv
import json
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from mrcontrast.cli import main
from mrcontrast.sweeps.jobs import RUNNING, read_jobs
from toy.runs import arguments, end_of, in_child, mlflow_runs, toy_run, with_mlflow

KILLS = 20
OF_A_START = ("seconds", "attempts", "folder")  # columns that differ from start to start


def sweep(root: Path) -> int:
    """Run a sweep of four jobs, two at once."""
    words = arguments(
        root,
        *with_mlflow(root),
        "hydra/launcher=forks",
        "name=toy",
        "stage=toy_autoencoder",
        "stage.lr=0.01,0.02",
        "stage.seconds_a_step=0.1",
        "seed=0,1",
        "callbacks.pictures.count=1",
        "save_every_n_steps=1",
    )
    return main(["train", "-m", *words])


def start(root: Path) -> int:
    """Start the sweep in a fork, and return its process."""
    return in_child(lambda: sweep(root))


def results(root: Path) -> list[dict[str, str]]:
    with (root / "sweeps/toy/results.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [{key: row[key] for key in row if key not in OF_A_START} for row in rows]


def files_of(root: Path) -> set[str]:
    folder = root / "sweeps/toy"
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def finishes(root: Path) -> Counter[str]:
    """Return how often each job was finished."""
    lines = (root / "sweeps/toy/events.csv").read_text().splitlines()
    return Counter(line.split(",")[1] for line in lines if line.split(",")[2] == "finished")


def ended(process: int, seconds: float) -> bool:
    """Return whether a process ends by itself, with exit code 0, within so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            assert os.waitstatus_to_exitcode(status) == 0
            return True
        time.sleep(0.01)
    return False


def kill_jobs(folder: Path, chance: random.Random) -> int:
    """Kill the jobs of a killed sweep, half of the times; return how many."""
    if not folder.is_dir() or chance.random() < 0.5:
        return 0
    jobs = [job for job in read_jobs(folder) if job.state == RUNNING and job.is_worked_on()]
    for job in jobs:
        os.kill(int(job.process.split(":")[1]), signal.SIGKILL)
    return len(jobs)


def kill_until_done(root: Path, length: float, chance: random.Random, most: int) -> int:
    """Start a sweep and kill it, again and again, until it was faster; return the kills."""
    for kills in range(most):
        process, moment = start(root), chance.uniform(0, length)
        if ended(process, moment):
            return kills
        os.kill(process, signal.SIGKILL)
        if (code := end_of(process)) == 0:  # it ended just before
            return kills
        assert code == -signal.SIGKILL
        jobs = kill_jobs(root / "sweeps/toy", chance)
        print(f"{root.name}: killed after {moment:.2f} s, with {jobs} jobs")  # noqa: T201
    return most


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_twenty_kills_lose_nothing_and_leave_nothing(tmp_path: Path) -> None:
    toy_run(tmp_path / "warm", "warm", "stage=toy_autoencoder", *with_mlflow(tmp_path / "warm"))
    assert sweep(tmp_path / "warm") == 0  # in this process: the forks have all imported
    began = time.monotonic()
    assert end_of(start(tmp_path / "whole")) == 0
    length = time.monotonic() - began
    expected, names = results(tmp_path / "whole"), files_of(tmp_path / "whole")
    seed = random.SystemRandom().randrange(10**6)  # a training has seeded the other
    chance = random.Random(seed)
    print(f"seed {seed}, an uninterrupted sweep takes {length:.2f} s")  # noqa: T201
    kills = sweeps = 0
    while kills < KILLS:
        root = tmp_path / f"sweep-{sweeps}"
        sweeps += 1
        kills += kill_until_done(root, length, chance, KILLS - kills)
        assert end_of(start(root)) == 0
        assert results(root) == expected
        assert set(finishes(root).values()) == {1}
        assert files_of(root) == names
        for path in (root / "sweeps/toy").rglob("*.json"):
            json.loads(path.read_text())
        statuses = Counter(run.info.status for run in mlflow_runs(root))
        assert statuses == {"FINISHED": 1 + len(expected)}
        print(f"{root.name}: {kills} kills so far; table and files as uninterrupted")  # noqa: T201
