"""Files that are whole or absent, and what tells one from another."""

import hashlib
import json
import os
import platform
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from mrcontrast.errors import MrcontrastError

UNFINISHED = re.compile(r"\.mrcontrast-([0-9a-f]{12})-([1-9]\d*)-[0-9a-f]{8}-.+", re.DOTALL)
KEPT_CHARACTERS = 50  # of a name, its ending among them: file systems take 255 bytes
DEAD_AFTER_SECONDS = 24 * 3600  # without a write


def sha256_file(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def json_hash(plain: Any) -> str:  # noqa: ANN401 - whatever JSON can hold
    """Return the SHA-256 of plain values, in hexadecimal; the order of keys does not count."""
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text, whole or not at all."""
    with replacing(Path(path)) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def write_json(path: str | Path, obj: Any) -> None:  # noqa: ANN401 - whatever JSON can hold
    """Write an object as indented JSON, durably; NaN is refused (``ValueError``)."""
    text = json.dumps(obj, indent=2, allow_nan=False) + "\n"
    with replacing(Path(path), durable=True) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


@contextmanager
def replacing(path: Path, durable: bool = False) -> Iterator[Path]:
    """Yield a name beside ``path`` to write to; it becomes ``path`` when the block succeeds.

    Args:
        path: The file; its folder is made if absent.
        durable: Wait for the disk, so that a power cut leaves the old content or the new.

    Raises:
        MrcontrastError: The operating system refuses; the unfinished file is removed.
    """
    unfinished = unfinished_name(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_left_over(path.parent)
        yield unfinished
        if durable:
            to_disk(unfinished)
        unfinished.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        with suppress(OSError):  # it has its name by now, or the folder cannot be written to
            unfinished.unlink()


@contextmanager
def making_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder to fill; it becomes ``path`` when the block succeeds.

    Raises:
        MrcontrastError: The operating system refuses; the unfinished folder is removed.
    """
    unfinished = unfinished_name(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_left_over(path.parent)
        unfinished.mkdir()
        yield unfinished
        unfinished.rename(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


@contextmanager
def beside_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside ``path`` for a library's own files; it is removed at the end."""
    folder = unfinished_name(path)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def unfinished_name(path: Path) -> Path:
    """Return a hidden name beside ``path`` that no other process of any machine uses.

    It holds the process space, the process id and a random part, and ends like ``path``.
    """
    kept = path.name[-KEPT_CHARACTERS:]
    return path.with_name(
        f".mrcontrast-{process_space()}-{os.getpid()}-{secrets.token_hex(4)}-{kept}"
    )


@cache
def process_space() -> str:
    """Return a hash of where process ids are unique: the host, its boot and the container."""
    facts = [platform.node()]
    with suppress(OSError):
        facts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8"))
    with suppress(OSError):
        facts.append(str(Path("/proc/self/ns/pid").stat().st_ino))
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:12]


def remove_left_over(folder: Path) -> None:
    """Remove unfinished files and folders in ``folder`` that nobody writes any more.

    One that cannot be removed stays.
    """
    for path in folder.glob(".mrcontrast-*"):
        with suppress(OSError):
            if is_left_over(path):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def is_left_over(path: Path) -> bool:
    """Return whether a path is an unfinished file or folder of ours that nobody writes any more.

    Its process is dead; or nothing was written for a day, since a process of another host or
    container cannot be asked, and the id of a dead one may have been given to another.

    Raises:
        OSError: It vanished, or cannot be looked at.
    """
    found = UNFINISHED.fullmatch(path.name)
    if found is None or path.is_symlink():
        return False
    if found[1] == process_space() and not is_running(int(found[2])):
        return True
    inside = path.rglob("*") if path.is_dir() else ()
    written = max(each.lstat().st_mtime for each in (path, *inside))
    return time.time() - written > DEAD_AFTER_SECONDS


def is_running(process: int) -> bool:
    """Return whether a process of this host and container runs; one that may not be asked does.

    A dead process that its parent has not waited for, as in containers without an init, does not.
    """
    try:
        os.kill(process, 0)
        state = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return state.rpartition(")")[2].split()[0] != "Z"


def to_disk(path: Path) -> None:
    """Wait until the content of a file is on the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _unwritable(path: Path, error: OSError) -> MrcontrastError:
    return MrcontrastError(
        f"Expected a place that can be written to, got the error: {error.strerror or error} "
        f"({path}). Choose another folder or free some space."
    )
