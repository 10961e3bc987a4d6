"""Jobs on disk: names, locks, and who is lost."""

import os
import signal
import time
from pathlib import Path

import pytest

from mrcontrast.errors import MrcontrastError
from mrcontrast.sweeps.jobs import FINISHED, RUNNING, WAITING, Job, read_jobs, short_name
from mrcontrast.sweeps.run_job import WORK, run_job
from toy.runs import end_of, in_child, wait_for


def make_job(folder: Path, number: int = 1, **changes: object) -> Job:
    job = Job(folder, "train", ["stage=toy"], {"seed": "1"}, {}, number)
    for key, value in changes.items():
        setattr(job, key, value)
    folder.mkdir(parents=True, exist_ok=True)
    job.save()
    return job


def test_a_job_is_read_as_it_was_written(tmp_path: Path) -> None:
    job = make_job(tmp_path / "a", score=0.1 + 0.2, searched={"lr": 1e-5, "n": 3})
    assert Job.read(tmp_path / "a") == job


def test_a_broken_job_is_named(tmp_path: Path) -> None:
    make_job(tmp_path / "a")
    (tmp_path / "a" / "job.json").write_text('{"command": "train"')
    with pytest.raises(MrcontrastError, match=r"a/job\.json"):
        read_jobs(tmp_path)


def test_jobs_come_in_their_order(tmp_path: Path) -> None:
    make_job(tmp_path / "a", 2)
    make_job(tmp_path / "b", 1)
    assert [job.name for job in read_jobs(tmp_path)] == ["b", "a"]


def test_long_names_stay_short_and_apart() -> None:
    names = {short_name({"stage.a": "x" * 300 + str(index)}) for index in range(3)}
    assert len(names) == 3
    assert max(map(len, names)) < 100


def test_a_name_needs_no_quotes() -> None:
    assert short_name({"stage.channels": "[8,16]", "+x": "a b'c"}) == "channels__8_16_+x_a_b_c"


@pytest.mark.parametrize(
    ("score", "state"), [(1.5, "finished"), (None, "finished"), (float("nan"), "failed")]
)
def test_the_score_decides_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, score: float | None, state: str
) -> None:
    monkeypatch.setitem(WORK, "train", lambda job: score)
    make_job(tmp_path / "a")
    assert run_job(tmp_path / "a") == state
    job = Job.read(tmp_path / "a")
    assert (job.state, job.attempts) == (state, 1)
    assert ("finite score" in job.error) == (state == "failed")


def test_a_finished_job_is_not_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(WORK, "train", lambda job: pytest.fail("done again"))
    make_job(tmp_path / "a", state=FINISHED)
    assert run_job(tmp_path / "a") == FINISHED
    assert not (tmp_path / "events.csv").exists()


def test_a_job_finished_since_it_was_read_is_not_offered_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "weights.safetensors").touch()
    monkeypatch.setitem(WORK, "train", lambda job: 0.5)
    as_the_sweep_read_it = make_job(tmp_path / "a", state=RUNNING, attempts=1)
    run_job(tmp_path / "a")  # by a process that an earlier sweep left
    assert as_the_sweep_read_it.offer() == FINISHED
    assert (as_the_sweep_read_it.score, as_the_sweep_read_it.attempts) == (0.5, 2)
    assert Job.read(tmp_path / "a").state == FINISHED


def test_a_job_at_work_is_not_offered(tmp_path: Path) -> None:
    job = make_job(tmp_path / "a")
    with job.lock():
        assert Job.read(tmp_path / "a").offer() == RUNNING
        assert Job.read(tmp_path / "a").state == WAITING
    assert job.offer() == WAITING


def test_a_fault_of_any_kind_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(WORK, "train", lambda job: 1 / 0)
    make_job(tmp_path / "a")
    assert run_job(tmp_path / "a") == "failed"
    assert Job.read(tmp_path / "a").error == "ZeroDivisionError: division by zero"


def test_a_killed_process_frees_its_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(WORK, "train", lambda job: time.sleep(60))
    job = make_job(tmp_path / "a")
    process = in_child(lambda: int(run_job(job.folder) != FINISHED))
    wait_for(lambda: Job.read(job.folder).state == RUNNING)
    running = Job.read(job.folder)
    assert running.is_worked_on()
    assert not running.is_lost()
    os.kill(process, signal.SIGKILL)
    assert end_of(process) == -signal.SIGKILL
    assert running.is_lost()
