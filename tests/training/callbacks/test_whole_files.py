"""A checkpoint is whole or the one before, never half."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from mrcontrast.errors import MrcontrastError
from mrcontrast.storage.files import unfinished_name
from mrcontrast.training.trainer import WholeFiles


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """Let no file grow beyond so many bytes, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_it_is_written_beside_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "gone"))
    seen = []
    monkeypatch.setattr("os.fsync", lambda file: seen.append(list(tmp_path.glob("*/.*.ckpt"))))
    path = tmp_path / "checkpoints" / "last.ckpt"
    WholeFiles().save_checkpoint({"a": torch.ones(2)}, path)
    assert [part.name.endswith("-last.ckpt") for part in seen[0]] == [True]
    assert list(path.parent.iterdir()) == [path]
    assert torch.equal(torch.load(path, weights_only=True)["a"], torch.ones(2))


def test_a_full_disk_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    WholeFiles().save_checkpoint({"step": 1}, path)
    with room_for(2000), pytest.raises(MrcontrastError, match="Expected room for a checkpoint"):
        WholeFiles().save_checkpoint({"step": 2, "a": torch.ones(10_000)}, path)
    assert torch.load(path, weights_only=True) == {"step": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_kill_left_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getpid", lambda: 2**22 + 1)  # above Linux's largest process id
    unfinished_name(tmp_path / "last.ckpt").touch()
    monkeypatch.undo()
    WholeFiles().save_checkpoint({}, tmp_path / "last.ckpt")
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]
