"""Files that are whole or absent: names that nobody shares, and what a kill leaves."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from mrcontrast.errors import MrcontrastError
from mrcontrast.storage import files
from mrcontrast.storage.files import (
    making_folder,
    replacing,
    unfinished_name,
    write_json,
    write_text,
)
from toy.runs import end_of, in_child

DEAD = 2**22 + 1  # above Linux's largest process id
DAY_SECONDS = 24 * 3600


def left_by(monkeypatch: pytest.MonkeyPatch, path: Path, process: int, space: str = "") -> Path:
    """Return the unfinished name that a process would give ``path``; it is not made."""
    with monkeypatch.context() as patch:
        patch.setattr("os.getpid", lambda: process)
        if space:
            patch.setattr(files, "process_space", lambda: space)
        return unfinished_name(path)


def test_two_containers_with_the_same_process_id_do_not_collide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    with monkeypatch.context() as patch:
        patch.setattr("os.getpid", lambda: 1)
        patch.setattr(files, "process_space", lambda: "0" * 12)  # the same host name, too
        with replacing(path) as ours, replacing(path) as theirs:
            ours.write_text("ours")
            theirs.write_text("theirs")
            assert ours.read_text() == "ours"
    assert path.read_text() == "ours"  # the last to finish
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["a" * 251 + ".csv", "\u00e9" * 124 + ".nii.gz", "a"])
def test_the_longest_names_have_room(tmp_path: Path, name: str) -> None:
    write_text(tmp_path / name, "x")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert unfinished_name(tmp_path / name).name.endswith(name[-7:])


def test_what_a_dead_process_left_goes_with_the_next_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_by(monkeypatch, tmp_path / "b.nii.gz", DEAD).touch()
    left_by(monkeypatch, tmp_path / "model", DEAD).mkdir()
    write_text(tmp_path / "a.txt", "x")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_what_is_not_surely_left_over_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = left_by(monkeypatch, tmp_path / "b", DEAD, space="0" * 12)
    alive = left_by(monkeypatch, tmp_path / "c", os.getpid())
    others = [
        tmp_path / ".mrcontrast-notes",
        tmp_path / f".mrcontrast-{files.process_space()}-{DEAD}-notes.txt",
        tmp_path / f".{DEAD}.a.txt",
        tmp_path / ".a.txt.partial",
    ]
    kept = [elsewhere, alive, *others]
    for path in kept:
        path.touch()
    target = tmp_path / "target"
    target.mkdir()
    (target / "mine.txt").touch()
    link = left_by(monkeypatch, tmp_path / "d", DEAD)
    link.symlink_to(target)
    write_text(tmp_path / "a.txt", "x")
    assert set(tmp_path.iterdir()) == {*kept, link, target, tmp_path / "a.txt"}
    assert (target / "mine.txt").exists()


@pytest.mark.parametrize("of_a_folder", [False, True])
def test_after_a_day_without_a_write_it_is_left_over_whoever_wrote_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of_a_folder: bool
) -> None:
    path = left_by(monkeypatch, tmp_path / "b", DEAD, space="0" * 12)
    inner = path / "weights" if of_a_folder else path
    inner.parent.mkdir(exist_ok=True)
    inner.touch()
    old = time.time() - DAY_SECONDS - 60
    if of_a_folder:
        os.utime(path, (old, old))
        write_text(tmp_path / "a.txt", "x")
        assert path.exists()  # a file in it is new
    os.utime(inner, (old, old))
    write_text(tmp_path / "a.txt", "x")
    assert not path.exists()


def test_a_kill_while_it_is_written_leaves_the_old_file_and_nothing_for_long(
    tmp_path: Path,
) -> None:
    path = tmp_path / "job.json"
    write_json(path, {"a": 1})

    def work() -> int:
        with replacing(path) as unfinished:
            unfinished.write_text('{"a": ')
            os.kill(os.getpid(), signal.SIGKILL)
        return 0

    assert end_of(in_child(work)) == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 2
    assert path.read_text() == '{\n  "a": 1\n}\n'
    write_text(tmp_path / "log.txt", "")
    assert {each.name for each in tmp_path.iterdir()} == {"job.json", "log.txt"}


def test_a_record_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.setattr("os.fsync", lambda file: seen.append(list(tmp_path.glob("a.json"))))
    write_json(tmp_path / "a.json", {})
    assert seen == [[]]


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    with suppress(ValueError), replacing(tmp_path / "a") as unfinished:
        unfinished.touch()
        raise ValueError
    with suppress(ValueError), making_folder(tmp_path / "b") as unfinished:
        (unfinished / "c").touch()
        raise ValueError
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(MrcontrastError, match="Choose another folder"):
        write_text(tmp_path / "file" / "a", "x")


def test_what_a_process_left_goes_although_nobody_has_waited_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = in_child(lambda: 0)
    os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)  # dead, and still listed
    left = left_by(monkeypatch, tmp_path / "a.txt", process)
    left.write_text("half")
    write_text(tmp_path / "b.txt", "whole")
    assert not left.exists()
    assert end_of(process) == 0
