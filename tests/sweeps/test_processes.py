"""Sweeps in real processes, killed at random."""

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
