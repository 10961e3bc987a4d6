"""Kill ``prepare`` at random: nothing is lost, and the next run leaves nothing over."""

import multiprocessing
import random
import shutil
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from mrcontrast.data.manifest import Manifest
from mrcontrast.data.record import MANIFEST
from preparation_files import check_hashes
from toy.preparing import prepare_slowly

KILLS = 10  # for each state of out
NOTES = ("notes.txt", "sub-00/anat/mine.txt", "cache/a/b.bin")


def start(out: Path, subjects: int) -> BaseProcess:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["toy.preparing"])
    process = context.Process(target=prepare_slowly, args=(str(out), subjects))
    process.start()
    return process


def finish(out: Path, subjects: int) -> tuple[float, float]:
    """Prepare to the end; return how long it took, and how long from the manifest on."""
    began = time.monotonic()
    process = start(out, subjects)
    published = wait_for_manifest(process, out)
    process.join()
    assert process.exitcode == 0
    return time.monotonic() - began, time.monotonic() - published


def wait_for_manifest(process: BaseProcess, out: Path) -> float:
    """Wait until a run has written its manifest; return when that was."""
    while process.is_alive() and not (out.with_name(f".{out.name}.partial") / MANIFEST).exists():
        time.sleep(0.002)
    return time.monotonic()


@pytest.mark.slow
@pytest.mark.parametrize("earlier", [False, True])
def test_a_random_kill_loses_nothing_and_leaves_nothing_over(tmp_path: Path, earlier: bool) -> None:
    kept = tmp_path / "kept"
    finish(kept, 2)
    for name in NOTES:
        (kept / name).parent.mkdir(parents=True, exist_ok=True)
        (kept / name).write_text(name)
    shutil.copytree(kept, tmp_path / "timed")
    whole_s, swap_s = finish(tmp_path / "timed", 3)
    wanted = Manifest.read(tmp_path / "timed").data_hash
    draw = random.Random(int(earlier))
    found = set()
    for number in range(KILLS):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        out = folder / "out"
        if earlier:
            shutil.copytree(kept, out)
        process = start(out, 3)
        if number % 2:  # while the new data set is published
            wait_for_manifest(process, out)
        time.sleep(draw.uniform(0, swap_s if number % 2 else whole_s))
        process.kill()
        process.join()
        found.add(" ".join(sorted(path.name for path in folder.iterdir())) or "nothing")
        for name in NOTES if earlier else ():
            assert any((place / name).is_file() for place in folder.iterdir()), (number, name)
        finish(out, 3)
        assert [path.name for path in folder.iterdir()] == ["out"], number
        manifest = Manifest.read(out)
        check_hashes(manifest)
        assert manifest.data_hash == wanted
        for name in NOTES if earlier else ():
            assert (out / name).read_text() == name
    sys.stdout.write(
        f"{KILLS} kills, earlier data set {earlier}; on disk after a kill: {sorted(found)}\n"
    )
    assert len(found) > 1
