"""Files larger than memory: a full disk is an error in one line, never the end of the process."""

import errno
import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from mrcontrast.errors import MrcontrastError
from mrcontrast.evaluation.neighbours import store_training
from mrcontrast.latent.array_writer import ArrayWriter
from mrcontrast.storage.npy_file import NpyFile
from mrcontrast.storage.parallel import Workers
from mrcontrast.storage.volume import Volume, write_volume
from toy.runs import end_of, in_child

FLOAT = np.dtype(np.float32)


@contextmanager
def largest_file(size_bytes: int) -> Iterator[None]:
    """Let no file grow beyond a size, as a full disk or a quota does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def fill(folder: Path, items: int = 100) -> None:
    with ArrayWriter(folder, items) as writer:
        for _ in range(items // 10):
            batch = torch.ones(10, 2, 50, 50)
            writer.append({"signal_a": batch, "source": batch[:, :1]})
        writer.finish()


@pytest.mark.parametrize("shape", [(7, 3, 5), (7, 2, 3, 4)])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_it_is_read_as_it_was_written(tmp_path: Path, shape: tuple, dtype: type) -> None:
    values = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    with NpyFile(tmp_path / "a.npy", np.dtype(dtype), shape) as file:
        file.append(values[:2])
        file.append(np.asfortranarray(values[2:]))
        file.finish()
    assert np.array_equal(np.load(tmp_path / "a.npy", "r"), values)
    with (
        NpyFile(tmp_path / "b.npy", np.dtype(dtype), shape) as file,
        pytest.raises(ValueError, match="items"),
    ):
        file.append(np.zeros((8, *shape[1:]), dtype))


def test_all_space_is_reserved_before_the_first_item(tmp_path: Path) -> None:
    with NpyFile(tmp_path / "a.npy", FLOAT, (1000, 1000)):
        found = (tmp_path / "a.npy").stat()
    assert found.st_size > 4_000_000
    assert found.st_blocks * 512 >= 4_000_000


def test_the_size_and_the_folder_are_named_before_any_item_is_written(tmp_path: Path) -> None:
    with (
        largest_file(1_000_000),
        pytest.raises(
            MrcontrastError, match=r"Expected 2\.5 MB of free space, got: File too large"
        ) as caught,
    ):
        fill(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "MRCONTRAST_CACHE" in str(caught.value)


@pytest.mark.parametrize("refusal", [errno.EOPNOTSUPP, errno.EINVAL, "no such call"])
def test_a_disk_that_fills_up_where_nothing_can_be_reserved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: int | str
) -> None:
    if isinstance(refusal, str):
        monkeypatch.delattr(os, "posix_fallocate")
    else:

        def refuse(*arguments: object) -> None:
            raise OSError(refusal, os.strerror(refusal))

        monkeypatch.setattr(os, "posix_fallocate", refuse)
    fill(tmp_path)
    with largest_file(1_000_000), pytest.raises(MrcontrastError, match=r"Expected 2\.5 MB"):
        fill(tmp_path)
    full = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: full)
    with pytest.raises(MrcontrastError, match=r"Expected 2\.5 MB.*No space left"):
        fill(tmp_path)


def test_copies_for_the_report_name_the_size_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    write_volume(tmp_path / "t1w.nii.gz", Volume(np.ones((12, 10, 8), np.float32), np.eye(4)))
    volumes = {"sub-01": tmp_path / "t1w.nii.gz", "sub-02": tmp_path / "t1w.nii.gz"}
    with Workers(1) as pool:
        assert store_training(volumes, tmp_path, pool).names == ("sub-01", "sub-02")
        monkeypatch.setattr(os, "posix_fallocate", refuse)
        with pytest.raises(MrcontrastError, match=r"MB of free space, got: No space left .*Free"):
            store_training(volumes, tmp_path, pool)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB, where this user may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("no right to mount a file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_does_not_end_the_process(small_disk: Path) -> None:
    def work() -> int:
        try:
            fill(small_disk)
        except MrcontrastError as error:
            return 3 if "No space left" in str(error) and "2.5 MB" in str(error) else 4
        return 0

    assert end_of(in_child(work)) == 3
