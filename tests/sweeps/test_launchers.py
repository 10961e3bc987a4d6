"""Where jobs run."""

from pathlib import Path

import pytest

from mrcontrast.config.build import build, compose
from mrcontrast.errors import UsageError
from mrcontrast.sweeps import launchers
from mrcontrast.sweeps.jobs import WAITING, Job
from mrcontrast.sweeps.launchers import Processes, Submitit
from mrcontrast.sweeps.run_job import WORK, run_job


def launcher_of(name: str, *overrides: str) -> object:
    words = ["stage=lookup", f"hydra/launcher={name}", *overrides]
    return build(compose("train", words, with_hydra=True).hydra.launcher)


class Ended:
    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.environment = environment
        self.ended = False

    def done(self) -> bool:
        return self.ended


def test_jobs_take_devices_in_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launchers, "start_process", Ended)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    processes = Processes(n_jobs=2, devices=[4, 5])
    job = Job(tmp_path, "train", [], {}, {})
    first, second = processes.start(job), processes.start(job)
    assert [item.environment["CUDA_VISIBLE_DEVICES"] for item in (first, second)] == ["4", "5"]
    assert first.environment["OMP_NUM_THREADS"] == "4"
    first.ended = True
    assert processes.start(job).environment["CUDA_VISIBLE_DEVICES"] == "4"


@pytest.mark.parametrize("name", ["processes", "joblib"])
def test_local_launchers_build(name: str) -> None:
    launcher = launcher_of(name, "hydra.launcher.n_jobs=3")
    assert isinstance(launcher, Processes)
    assert launcher.n_jobs == 3


def test_no_jobs_at_once_are_refused() -> None:
    with pytest.raises(UsageError, match="Expected 1 or more jobs at once, got 0"):
        Processes(n_jobs=0)


def test_slurm_is_refused_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("submitit")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="Expected sbatch on the path"):
        launcher_of("submitit_slurm")
    (tmp_path / "sbatch").write_text("#!/bin/sh\n")
    (tmp_path / "sbatch").chmod(0o755)
    launcher = launcher_of("submitit_slurm", "hydra.launcher.parameters.slurm_partition=gpu")
    assert isinstance(launcher, Submitit)
    assert launcher.parameters == {
        "timeout_min": 1440,
        "cpus_per_task": 8,
        "gpus_per_node": 1,
        "mem_gb": 64,
        "slurm_partition": "gpu",
    }


def test_submitit_takes_the_parameters(tmp_path: Path) -> None:
    submitit = pytest.importorskip("submitit")
    launcher = launcher_of("submitit_local")
    assert isinstance(launcher, Submitit)
    executor = submitit.AutoExecutor(folder=tmp_path, cluster="local")
    executor.update_parameters(name="job", **launcher.parameters)


def test_a_second_process_of_a_training_leaves_the_job_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = []
    monkeypatch.setitem(WORK, "train", done.append)
    monkeypatch.setenv("LOCAL_RANK", "1")
    job = Job(tmp_path / "a", "train", [], {}, {})
    job.folder.mkdir()
    job.save()
    with job.lock():  # the first process holds it
        run_job(job.folder)
    assert len(done) == 1
    assert Job.read(job.folder).state == WAITING
