"""Sweeps in real processes, killed at random."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from mrcontrast.sweeps.jobs import RUNNING, Job, read_jobs
from toy.runs import arguments, mlflow_runs, wait_for, with_mlflow

TESTS = Path(__file__).parents[1]


def start(root: Path, *overrides: str) -> subprocess.Popen:
    """Start a sweep as a shell would."""
    words = arguments(root, *with_mlflow(root), "stage=toy_autoencoder", "name=toy", *overrides)
    paths = [str(TESTS), str(TESTS.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    with (root / "out.txt").open("ab") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "mrcontrast", "train", "-m", *words],
            env=environment,
            stdout=out,
            stderr=subprocess.STDOUT,
        )


def events(root: Path) -> Counter[tuple[str, str]]:
    lines = (root / "sweeps/toy/events.csv").read_text().splitlines()
    return Counter((line.split(",")[1], line.split(",")[2]) for line in lines)


def finished(root: Path) -> int:
    folder = root / "sweeps/toy"
    return len(list(folder.glob("*/weights.safetensors"))) if folder.exists() else 0


def killed_a_job(folder: Path, chance: random.Random) -> bool:
    """Kill one of the jobs that run, at a moment that nobody chose; False if none runs."""
    time.sleep(chance.uniform(0, 3))
    running = [job for job in read_jobs(folder) if job.state == RUNNING and job.is_worked_on()]
    if running:
        os.kill(int(chance.choice(running).process.split(":")[1]), signal.SIGKILL)
    return bool(running)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_twelve_jobs_on_two_processes_survive_two_kills(tmp_path: Path) -> None:
    chance = random.Random()
    overrides = [
        "hydra.launcher.n_jobs=2",
        "seed=range(0,6)",
        "stage.lr=0.01,0.02",
        "stage.seconds_a_step=0.2",
        "callbacks.pictures=null",
        "save_every_n_steps=1",
    ]
    folder = tmp_path / "sweeps/toy"
    for _ in range(2):  # each time a job, and soon after the sweep itself
        process, before = start(tmp_path, *overrides), finished(tmp_path)
        wait_for(lambda limit=before + 1: finished(tmp_path) >= limit, 1200)
        wait_for(lambda: killed_a_job(folder, chance), 1200)
        time.sleep(chance.uniform(0, 10))
        process.kill()
        assert process.wait() == -signal.SIGKILL
    assert start(tmp_path, *overrides).wait(1800) == 0, (tmp_path / "out.txt").read_text()

    jobs = read_jobs(folder)
    assert len(jobs) == 12
    assert {job.state for job in jobs} == {"finished"}
    assert sum(job.attempts for job in jobs) >= 14  # two were killed and went on
    count = events(tmp_path)
    assert [count[job.name, "finished"] for job in jobs] == [1] * 12
    for job in jobs:  # nothing was started after it was done
        own = [
            line for line in (folder / "events.csv").read_text().splitlines() if job.name in line
        ]
        assert own[-1].split(",")[2] == "finished"
    runs = mlflow_runs(tmp_path)
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert (len(parents), len(runs)) == (1, 13)
    assert {run.info.status for run in runs} == {"FINISHED"}
    rows = (folder / "results.csv").read_text().splitlines()
    assert len(rows) == 13
    scores = [float(row.split(",")[2]) for row in rows[1:]]
    assert scores == sorted(scores)


SMALL = [
    "hydra.launcher.n_jobs=2",
    "seed=0,1",
    "stage.lr=0.01,0.02",
    "stage.seconds_a_step=0.1",
    "callbacks.pictures=null",
    "save_every_n_steps=1",
]
OF_A_START = ("seconds", "attempts", "folder")  # columns that differ from start to start


def results(root: Path) -> list[dict[str, str]]:
    with (root / "sweeps/toy/results.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [{key: row[key] for key in row if key not in OF_A_START} for row in rows]


def end_whole(root: Path, expected: list[dict[str, str]], names: set[str]) -> None:
    """Let a sweep that was killed go on to its end; look that nothing is lost or left over."""
    assert start(root, *SMALL).wait(1800) == 0, (root / "out.txt").read_text()
    assert results(root) == expected
    folder = root / "sweeps/toy"
    count = events(root)
    assert [count[job.name, "finished"] for job in read_jobs(folder)] == [1] * len(expected)
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == names
    for path in folder.rglob("*.json"):
        json.loads(path.read_text())
    runs = mlflow_runs(root)
    assert Counter(run.info.status for run in runs) == {"FINISHED": 1 + len(expected)}


def kill_all(process: subprocess.Popen, folder: Path, chance: random.Random) -> str:
    """Kill a sweep, half of the times with all of its jobs; return who was killed."""
    process.kill()
    assert process.wait() == -signal.SIGKILL
    if not folder.is_dir() or chance.random() < 0.5:
        return "sweep"
    running = [job for job in read_jobs(folder) if job.state == RUNNING and job.is_worked_on()]
    for job in running:
        os.kill(int(job.process.split(":")[1]), signal.SIGKILL)
    return f"sweep and {len(running)} jobs"


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_twenty_kills_lose_nothing_and_leave_nothing(tmp_path: Path) -> None:
    began = time.monotonic()
    (tmp_path / "whole").mkdir()
    assert start(tmp_path / "whole", *SMALL).wait(1800) == 0
    length = time.monotonic() - began
    expected, folder = results(tmp_path / "whole"), tmp_path / "whole/sweeps/toy"
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    kills, sweeps = 0, 0
    while kills < 20:
        root = tmp_path / f"sweep-{sweeps}"
        sweeps += 1
        root.mkdir()
        while kills < 20:
            process, moment = start(root, *SMALL), chance.uniform(0, length)
            try:
                assert process.wait(moment) == 0, (root / "out.txt").read_text()
                break  # it was faster
            except subprocess.TimeoutExpired:
                kills += 1
                who = kill_all(process, root / "sweeps/toy", chance)
                print(f"kill {kills} (seed {seed}): sweep {sweeps}, {moment:.1f} s, {who}")  # noqa: T201
        end_whole(root, expected, names)
        print(f"sweep {sweeps}: whole, the table of an uninterrupted one ({length:.1f} s)")  # noqa: T201


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_submitit_runs_a_sweep_and_survives_a_lost_job(tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    overrides = [
        "hydra/launcher=submitit_local",
        "seed=0,1",
        "stage.lr=0.01,1e30",
        "stage.seconds_a_step=0.5",
        "trainer.max_steps=8",
        "save_every_n_steps=1",
    ]
    process = start(tmp_path, *overrides)
    good = tmp_path / "sweeps/toy/seed_0+lr_0.01"
    wait_for(lambda: (good / "checkpoints/last.ckpt").exists(), 1200)
    os.kill(int(Job.read(good).process.split(":")[1]), signal.SIGKILL)
    assert process.wait(1800) == 1, (tmp_path / "out.txt").read_text()
    states = Counter(job.state for job in read_jobs(tmp_path / "sweeps/toy"))
    assert states == {"finished": 2, "failed": 2}
    assert Job.read(good).attempts == 2
    statuses = Counter(run.info.status for run in mlflow_runs(tmp_path))
    assert statuses == {"FINISHED": 2, "FAILED": 3}  # two jobs and so the sweep
