"""Many trainings by one command: what is skipped, what fails, and what a kill leaves."""

import csv
import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from mrcontrast.cli import main
from mrcontrast.errors import MrcontrastError
from mrcontrast.sweeps.jobs import RUNNING, Job, read_jobs
from mrcontrast.sweeps.sweep import Sweep
from mrcontrast.tracking.store import connect
from toy.runs import arguments, end_of, in_child, mlflow_runs, toy_run, wait_for, with_mlflow


@pytest.fixture(scope="module", autouse=True)
def warm(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Import all that a training does, so that no fork has to."""
    toy_run(tmp_path_factory.mktemp("warm"), "warm", "stage=toy_autoencoder")


def run_sweep(root: Path, *overrides: str, launcher: str = "forks") -> int:
    chosen = [f"hydra/launcher={launcher}", "name=toy", "callbacks.pictures=null", *overrides]
    return main(["train", "-m", *arguments(root, "stage=toy_autoencoder", *chosen)])


def errors_of(capsys: pytest.CaptureFixture[str]) -> str:
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    return text


def events(root: Path, name: str = "toy") -> Counter[tuple[str, str]]:
    rows = csv.reader((root / "sweeps" / name / "events.csv").read_text().splitlines())
    return Counter((row[1], row[2]) for row in rows)


def test_a_failed_job_is_recorded_and_the_rest_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grid = ["stage.lr=0.01,1e30,0.02"]
    assert run_sweep(tmp_path, *grid) == 1
    out = capsys.readouterr().out
    assert "lr_1e+30: failed, Expected a finite loss" in out
    assert "lr_1e+30/log.txt)" in out
    assert "Not finished: 1. log.txt in the folder of a job says why." in out
    with (tmp_path / "sweeps/toy/results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["stage.lr"] for row in rows][2] == "1e+30"
    assert [row["state"] for row in rows] == ["finished", "finished", "failed"]
    assert float(rows[0]["val/loss"]) < float(rows[1]["val/loss"])
    assert run_sweep(tmp_path, *grid) == 1
    assert capsys.readouterr().out.count("finished before") == 2
    count = events(tmp_path)
    assert (count["lr_0.01", "finished"], count["lr_1e+30", "failed"]) == (1, 2)


def test_a_sweep_can_grow(tmp_path: Path) -> None:
    assert run_sweep(tmp_path, "stage.lr=0.01,0.02") == 0
    assert run_sweep(tmp_path, "stage.lr=0.01,0.02", "seed=0,1") == 0
    assert sorted(job.name for job in read_jobs(tmp_path / "sweeps/toy")) == [
        "lr_0.01",
        "lr_0.01+seed_1",
        "lr_0.02",
        "lr_0.02+seed_1",
    ]


def test_another_sweep_needs_another_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_sweep(tmp_path, "seed=0") == 0
    capsys.readouterr()
    assert run_sweep(tmp_path, "seed=0", "data.data_hash=other") == 2
    assert "Choose another name=NAME" in errors_of(capsys)
    assert run_sweep(tmp_path, "seed=0", "workers=1") == 0


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["out=x"], "Expected no out in a sweep"),
        (["overwrite=true"], "remove that to do it anew"),
        (["frob=1,2"], "Expected a key of the config, got frob"),
        (["hydra/launcher=frob"], "got frob (hydra/launcher)"),
        (["seed=interval(0,1)"], "add hydra/sweeper=optuna"),
    ],
)
def test_faults_of_usage_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], overrides: list[str], message: str
) -> None:
    assert run_sweep(tmp_path, *overrides) == 2
    assert message in errors_of(capsys)


def test_one_process_runs_a_sweep(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from filelock import FileLock

    monkeypatch.setattr("mrcontrast.storage.folder_lock.PATIENCE_SECONDS", 0.2)
    (tmp_path / "sweeps/toy").mkdir(parents=True)
    with FileLock(tmp_path / "sweeps/toy/.lock"):
        assert run_sweep(tmp_path, "seed=0,1") == 1
    assert "Expected one sweep at a time in a folder" in errors_of(capsys)


def kill_when_running(folder: Path) -> None:
    wait_for(lambda: (folder / "checkpoints" / "last.ckpt").exists())
    job = Job.read(folder)
    assert job.state == RUNNING
    os.kill(int(job.process.split(":")[1]), signal.SIGKILL)


SLOW = ["stage.seconds_a_step=0.3", "trainer.max_steps=6", "save_every_n_steps=1"]


def test_a_killed_job_is_started_again(tmp_path: Path) -> None:
    overrides = [*with_mlflow(tmp_path), *SLOW, "seed=0,1"]
    process = in_child(lambda: run_sweep(tmp_path, *overrides))
    kill_when_running(tmp_path / "sweeps/toy/seed_1")
    assert end_of(process) == 0
    assert [job.attempts for job in read_jobs(tmp_path / "sweeps/toy")] == [1, 2]
    runs = mlflow_runs(tmp_path)
    assert [run.info.status for run in runs] == ["FINISHED"] * 3
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = [run for run in runs if run is not parent]
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    assert {run.data.tags["mrcontrast.data_hash"] for run in children} == {"data"}


def test_a_job_that_fails_before_it_trains_is_a_child_too(tmp_path: Path) -> None:
    overrides = [*with_mlflow(tmp_path), "trainer.max_steps=2,0"]
    for _ in range(2):
        assert run_sweep(tmp_path, *overrides) == 1
    runs = mlflow_runs(tmp_path)
    (failed,) = [run for run in runs if "mrcontrast.error" in run.data.tags]
    assert failed.info.status == "FAILED"
    assert failed.data.tags["mrcontrast.error"].startswith("Expected a whole number from 1 on")
    assert len(runs) == 3


def test_a_killed_sweep_goes_on(tmp_path: Path) -> None:
    overrides = [*with_mlflow(tmp_path), *SLOW, "seed=0,1,2"]
    process = in_child(lambda: run_sweep(tmp_path, *overrides))
    first = tmp_path / "sweeps/toy/seed_0"
    wait_for(lambda: (first / "checkpoints" / "last.ckpt").exists())
    os.kill(process, signal.SIGKILL)
    assert end_of(process) == -signal.SIGKILL
    assert run_sweep(tmp_path, *overrides) == 0  # its orphans are waited for
    count = events(tmp_path)
    assert {event for _, event in count} == {"started", "finished"}
    assert set(count.values()) == {1}
    runs = mlflow_runs(tmp_path)
    assert [run.info.status for run in runs] == ["FINISHED"] * 4


def test_a_stopped_sweep_stops_its_jobs_and_goes_on(tmp_path: Path) -> None:
    overrides = [*with_mlflow(tmp_path), *SLOW, "seed=0,1"]
    process = in_child(lambda: run_sweep(tmp_path, *overrides))
    wait_for(lambda: (tmp_path / "sweeps/toy/seed_0/checkpoints/last.ckpt").exists())
    wait_for(lambda: (tmp_path / "sweeps/toy/seed_1/checkpoints/last.ckpt").exists())
    os.kill(process, signal.SIGTERM)
    assert end_of(process) == 143
    assert {job.state for job in read_jobs(tmp_path / "sweeps/toy")} == {"stopped"}
    assert {run.info.status for run in mlflow_runs(tmp_path)} == {"KILLED"}
    assert run_sweep(tmp_path, *overrides) == 0
    assert {run.info.status for run in mlflow_runs(tmp_path)} == {"FINISHED"}
    assert len(mlflow_runs(tmp_path)) == 3


def test_optuna_searches(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    search = ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=3"]
    rates = "stage.lr=tag(log,interval(1e-4,1e-1))"
    assert run_sweep(tmp_path, *search, rates) == 0
    jobs = read_jobs(tmp_path / "sweeps/toy")
    assert len({job.searched["stage.lr"] for job in jobs}) == 3
    assert run_sweep(tmp_path, "hydra/sweeper=optuna", "hydra.sweeper.n_trials=4", rates) == 0
    assert set(events(tmp_path).values()) == {1}
    assert len(read_jobs(tmp_path / "sweeps/toy")) == 4


def test_the_table_is_printed_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_sweep(tmp_path, "seed=0,1") == 0
    capsys.readouterr()
    target = tmp_path / "mine.csv"
    assert main(["sweep-table", str(tmp_path / "sweeps/toy"), "--csv", str(target)]) == 0
    assert "best first" in capsys.readouterr().out
    assert target.read_text() == (tmp_path / "sweeps/toy/results.csv").read_text()
    assert main(["sweep-table", str(tmp_path / "nowhere")]) == 2
    assert "Expected a sweep" in errors_of(capsys)


def test_a_fault_of_usage_leaves_no_record(tmp_path: Path) -> None:
    assert run_sweep(tmp_path, *with_mlflow(tmp_path), "seed=interval(0,1)") == 2
    client = connect(f"sqlite:///{tmp_path}/mlflow/mlflow.db")
    assert client.get_experiment_by_name("mrcontrast") is None


def test_a_sweep_that_breaks_has_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(sweep: Sweep) -> int:
        raise MrcontrastError("Expected room, got none.")

    monkeypatch.setattr(Sweep, "work", fail)
    assert run_sweep(tmp_path, *with_mlflow(tmp_path), "seed=0,1") == 1
    assert [run.info.status for run in mlflow_runs(tmp_path)] == ["FAILED"]
