"""What is finished is not done again: after a stop, a kill, a lost worker, a change."""

import contextlib
import errno
import gzip
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from filelock import FileLock

from mrcontrast.commands.prepare import conclude
from mrcontrast.data.manifest import Manifest
from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.preparation.bids import BidsPairs
from mrcontrast.preparation.dataset import Prepared, prepare_dataset
from mrcontrast.preparation.operators import Require
from mrcontrast.preparation.recipe import Recipe
from mrcontrast.preparation.session import BROKEN, FAULT
from mrcontrast.preparation.subject import Subject
from mrcontrast.preparation.workers import Workers
from preparation_files import check_hashes, raw_volume, recipe_of
from toy.sources import ToySource

TEXT = "recipe: test\n"
ROOT = Path(__file__).parents[2]


def run(
    recipe: Recipe, out: Path, workers: int | Workers = 1, stop_after: int = 99
) -> tuple[Prepared, list[str]]:
    lines: list[str] = []

    def say(line: str) -> None:
        if line.startswith("warning: the validation split"):
            return
        lines.append(line)
        if len(lines) == stop_after:
            raise KeyboardInterrupt

    return prepare_dataset(recipe, out, TEXT, workers, say), lines


def test_a_stopped_run_goes_on(tmp_path: Path, bids: Path) -> None:
    whole, _ = run(recipe_of(BidsPairs(str(bids))), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(recipe_of(BidsPairs(str(bids))), tmp_path / "out", stop_after=2)
    assert not (tmp_path / "out").exists()
    again, lines = run(recipe_of(BidsPairs(str(bids))), tmp_path / "out")
    assert lines == ["reused sub-01", "reused sub-02", "prepared sub-03"]
    assert again.reused == 2
    assert again.manifest.data_hash == whole.manifest.data_hash
    assert again.manifest.records[0].tags == whole.manifest.records[0].tags
    assert not (tmp_path / ".out.partial").exists()


def test_a_finished_data_set_stays_as_it_stands(tmp_path: Path, bids: Path) -> None:
    run(recipe_of(BidsPairs(str(bids))), tmp_path / "out")
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    again, lines = run(recipe_of(BidsPairs(str(bids))), tmp_path / "out")
    assert again.unchanged
    assert lines == ["reused sub-01", "reused sub-02", "reused sub-03"]
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == times


def test_only_what_has_changed_is_done_again(tmp_path: Path, bids: Path, write_pair) -> None:
    run(recipe_of(BidsPairs(str(bids))), tmp_path / "out")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    t1w, flair = (bids / "sub-02" / "anat" / f"sub-02_{kind}.nii.gz" for kind in ("T1w", "FLAIR"))
    t1w.write_bytes(flair.read_bytes())  # other voxels
    write_pair(bids, "sub-09")
    changed, lines = run(recipe_of(BidsPairs(str(bids))), tmp_path / "out")
    assert lines == ["reused sub-01", "prepared sub-02", "reused sub-03", "prepared sub-09"]
    assert not changed.unchanged
    check_hashes(Manifest.read(tmp_path / "out"))
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"
    (bids / "sub-03" / "anat" / "sub-03_FLAIR.nii.gz").unlink()
    run(recipe_of(BidsPairs(str(bids))), tmp_path / "out")
    assert not (tmp_path / "out" / "sub-03").exists()
    assert not (tmp_path / "out" / "sessions" / "sub-03.json").exists()


def test_another_operator_does_all_again(tmp_path: Path, bids: Path) -> None:
    run(recipe_of(BidsPairs(str(bids))), tmp_path / "out")
    recipe = recipe_of(BidsPairs(str(bids)))
    recipe.operators.append(Require("brain_ml", least=1))
    assert run(recipe, tmp_path / "out")[1] == [f"prepared sub-0{i}" for i in (1, 2, 3)]


def test_a_changed_file_of_the_data_set_is_made_again(tmp_path: Path, bids: Path) -> None:
    first, _ = run(recipe_of(BidsPairs(str(bids))), tmp_path / "out")
    flair = first.manifest.records[1].images["flair"]
    flair.write_bytes(flair.read_bytes()[:-5])
    again, lines = run(recipe_of(BidsPairs(str(bids))), tmp_path / "out")
    assert lines == ["reused sub-01", "prepared sub-02", "reused sub-03"]
    check_hashes(again.manifest)


def test_a_broken_operator_is_tried_again_a_dropped_session_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = ToySource(("good", "broken", "good", "good"))
    first, lines = run(recipe_of(source), tmp_path / "out")
    assert [item.kind for item in first.dropped] == [BROKEN]
    assert "RuntimeError: a bug" in lines[1]
    repaired = ToySource(("good", "good", "good", "good"))
    _, lines = run(recipe_of(repaired), tmp_path / "out")
    assert lines == ["reused sub-00", "prepared sub-01", "reused sub-02", "reused sub-03"]


@dataclass(frozen=True)
class NanMeasure:
    """Measures a number that JSON does not have, of one session."""

    def __call__(self, subject: Subject) -> Subject:
        odd = float(subject.images["flair"].data.sum()) == float(raw_volume(2, 300).data.sum())
        return replace(subject, measures=subject.measures | {"odd": np.nan if odd else 0.0})


def test_what_cannot_be_written_is_broken_and_the_others_go_on(tmp_path: Path) -> None:
    recipe = recipe_of(ToySource(("good",) * 4))
    recipe.operators.insert(0, NanMeasure())
    made, _ = run(recipe, tmp_path / "out")
    (item,) = made.dropped
    assert (item.name, item.kind, item.operator) == ("sub-01", BROKEN, "write")
    assert "ValueError" in item.reason
    assert len(made.manifest.records) == 3
    assert not (tmp_path / "out" / "sub-01").exists()
    assert run(recipe, tmp_path / "out")[0].reused == 3


def test_a_session_that_cannot_be_drawn_is_prepared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(subject: Subject) -> dict[str, str]:
        raise ValueError("nothing to draw")

    monkeypatch.setattr("mrcontrast.preparation.workers.draw_pictures", fail)
    assert run(recipe_of(ToySource(("good", "good"))), tmp_path / "out")[0].dropped == []


def test_after_an_upgrade_all_is_done_again_once(
    tmp_path: Path, bids: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    run(recipe_of(BidsPairs(str(bids))), out)
    monkeypatch.setattr("mrcontrast.preparation.outcome.__version__", "99.0")
    monkeypatch.setattr("mrcontrast.preparation.output.__version__", "99.0")
    second, _ = run(recipe_of(BidsPairs(str(bids))), out)
    assert (second.reused, second.unchanged) == (0, True)
    assert '"Version": "99.0"' in (out / "dataset_description.json").read_text()
    third, lines = run(recipe_of(BidsPairs(str(bids))), out)
    assert lines == ["reused sub-01", "reused sub-02", "reused sub-03"]
    assert third.manifest.records == second.manifest.records


def test_who_changed_sides_is_told(
    tmp_path: Path, write_pair, capsys: pytest.CaptureFixture[str]
) -> None:
    bids = tmp_path / "bids"
    for number in range(8):
        write_pair(bids, f"sub-{number}")
    first, _ = run(recipe_of(BidsPairs(str(bids))), tmp_path / "out")
    assert first.changed_sides == []
    assert run(recipe_of(BidsPairs(str(bids))), tmp_path / "out")[0].changed_sides == []
    shutil.rmtree(bids / "sub-0")
    before = {record.subject: record.split for record in first.manifest.records}
    second, _ = run(recipe_of(BidsPairs(str(bids))), tmp_path / "out")
    after = {record.subject: record.split for record in second.manifest.records}
    changed = [subject for subject, side in after.items() if before[subject] != side]
    assert second.changed_sides == changed != []
    assert conclude(second, allow_dropped=False) == 0
    said = capsys.readouterr().err
    assert re.search(rf"warning: {len(changed)} subjects? ha\w+ moved to another split, ", said)
    assert changed[0] in said


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MemoryError("8 GiB"), BROKEN),
        (OSError(errno.EIO, "Input/output error"), BROKEN),
        (OSError("Expected 99 bytes, got 9"), FAULT),
        (gzip.BadGzipFile("Not a gzipped file"), FAULT),
        (EOFError("ended before the end-of-stream"), FAULT),
    ],
)
def test_what_may_pass_is_tried_again(
    tmp_path: Path, bids: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, kind: str
) -> None:
    read = nib.Nifti1Image.get_fdata

    def fail(image: nib.Nifti1Image, *args: object, **options: object) -> np.ndarray:
        if "sub-02" in str(image.get_filename()):
            raise error
        return read(image, *args, **options)

    recipe = recipe_of(BidsPairs(str(bids)))
    with monkeypatch.context() as patch:
        patch.setattr(nib.Nifti1Image, "get_fdata", fail)
        first, _ = run(recipe, tmp_path / "out")
    assert [(item.name, item.kind) for item in first.dropped] == [("sub-02", kind)]
    assert ("damaged" in first.dropped[0].reason) is (kind == FAULT)
    again, _ = run(recipe, tmp_path / "out")
    assert [item.name for item in again.dropped] == ([] if kind == BROKEN else ["sub-02"])


def test_dropped_sessions_are_remembered(tmp_path: Path, bids: Path) -> None:
    path = bids / "sub-02" / "anat" / "sub-02_FLAIR.nii.gz"
    path.write_bytes(path.read_bytes()[:-400])
    first, _ = run(recipe_of(BidsPairs(str(bids))), tmp_path / "out")
    again, _ = run(recipe_of(BidsPairs(str(bids))), tmp_path / "out")
    assert again.reused == 3
    assert again.unchanged
    assert again.dropped == first.dropped


def test_two_runs_on_one_folder_are_refused(tmp_path: Path, bids: Path) -> None:
    with (
        FileLock(tmp_path / ".out.lock"),
        pytest.raises(MrcontrastError, match="one run at a time"),
    ):
        run(recipe_of(BidsPairs(str(bids))), tmp_path / "out")


def test_nobody_answers_at_the_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr("mrcontrast.preparation.workers.CONNECT_S", 0.2)
    with pytest.raises(UsageError, match=r"none that answers \(tcp://127.0.0.1:9"):
        run(
            recipe_of(ToySource(("good", "good"))),
            tmp_path / "out",
            Workers(1, "tcp://127.0.0.1:9"),
        )


PHANTOMS = [
    "recipe=phantom",
    "recipe.sources.0.num_subjects=6",
    "recipe.sources.0.config.anatomy_spacing_mm=6.0",
    "recipe.grid.spacing_mm=6.0",
    "recipe.grid.shape=[32,40,36]",
]


@pytest.mark.slow
def test_a_killed_command_goes_on(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mrcontrast", "prepare", *PHANTOMS, f"out={tmp_path / 'out'}"]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    sessions = tmp_path / ".out.partial" / "sessions"
    wait_for(lambda: len(list(sessions.glob("*.json"))) >= 2)
    first.send_signal(signal.SIGKILL)
    first.wait()
    done = {path.name: path.stat().st_mtime_ns for path in sessions.glob("*.json")}
    assert 2 <= len(done) < 6
    assert not (tmp_path / "out").exists()
    second = subprocess.run(command, capture_output=True, text=True, check=True)
    assert second.stderr.count("reused sub-") == len(done)
    assert second.stderr.count("prepared sub-") == 6 - len(done)
    now = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out" / "sessions").glob("*.json")}
    assert {name: now[name] for name in done} == done
    check_hashes(Manifest.read(tmp_path / "out"))


@pytest.mark.slow
def test_a_session_that_kills_its_worker_is_the_only_one_lost(tmp_path: Path) -> None:
    manners = ("good", "good", "deadly", "good", "good", "good")
    made, lines = run(recipe_of(ToySource(manners)), tmp_path / "out", 2)
    assert [item.name for item in made.dropped] == ["sub-02"]
    assert made.dropped[0].kind == BROKEN
    assert "worker" in made.dropped[0].reason
    assert [line.split()[1] for line in lines] == [f"sub-0{i}" for i in range(6)]


@pytest.fixture
def cluster(tmp_path: Path):
    """Start a Dask scheduler and two workers on this machine; yield its address and the workers."""
    pytest.importorskip("distributed")
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    place = tmp_path / "scheduler.json"

    def start(module: str, *options: str) -> subprocess.Popen:
        command = [sys.executable, "-m", f"distributed.cli.{module}", *options, "--no-dashboard"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.Popen(command, env=environment, cwd=tmp_path, **quiet)

    everyone = [
        start(
            "dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(place)
        )
    ]
    wait_for(place.is_file)
    options = ["--scheduler-file", str(place), "--nthreads", "1", "--no-nanny"]
    workers = [start("dask_worker", *options, "--name", name) for name in ("one", "two")]
    everyone += workers
    try:
        from distributed import Client

        with Client(scheduler_file=str(place), set_as_default=False) as client:
            client.wait_for_workers(2, timeout=60)
            address = client.scheduler.address
        yield address, workers
    finally:
        for process in everyone:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_a_cluster_loses_a_worker_mid_way(tmp_path: Path, cluster) -> None:
    address, workers = cluster
    marks = tmp_path / "marks"
    marks.mkdir()
    source = ToySource(("slow",) * 8, str(marks))
    alone, _ = run(recipe_of(ToySource(("good",) * 8)), tmp_path / "alone")

    killed: list[bool] = []

    def say(line: str) -> None:
        if not killed and len({path.name.split("-")[1] for path in marks.iterdir()}) == 2:
            workers[1].send_signal(signal.SIGKILL)
            killed.append(True)

    made = prepare_dataset(recipe_of(source), tmp_path / "out", TEXT, Workers(1, address), say)
    assert killed
    assert made.dropped == []
    assert made.manifest.data_hash == alone.manifest.data_hash
    attempts = [int(path.name.split("-")[0]) for path in marks.iterdir()]
    assert set(attempts) == set(range(0, 16, 2))
    assert len({path.name.split("-")[1] for path in marks.iterdir()}) == 2, "both have worked"


def wait_for(condition, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
