"""Files that are complete or absent, and hashes of files and values."""

import hashlib
import json
import os
import platform
import re
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from mrcontrast.errors import MrcontrastError

UNFINISHED = re.compile(r"\.mrcontrast-([0-9a-f]{12})-([1-9]\d*)-[0-9a-f]{8}-.+", re.DOTALL)
KEPT_CHARACTERS = 50  # of a name, with its suffix: file systems allow 255 bytes
DEAD_AFTER_SECONDS = 24 * 3600  # without a write


def sha256_file(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def json_hash(plain: Any) -> str:  # noqa: ANN401 - any JSON value
    """Return the SHA-256 of plain values, in hexadecimal, whatever the order of keys."""
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def write_text(path: str | Path, text: str, durable: bool = False) -> None:
    """Write UTF-8 text, completely or not at all; see ``replacing``."""
    with replacing(Path(path), durable) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def write_json(path: str | Path, obj: Any) -> None:  # noqa: ANN401 - any JSON value
    """Write an object as indented JSON, durably; NaN raises ``ValueError``."""
    write_text(path, json.dumps(obj, indent=2, allow_nan=False) + "\n", durable=True)


@contextmanager
def replacing(path: Path, durable: bool = False) -> Iterator[Path]:
    """Yield a temporary name to write to; it becomes ``path`` when the block succeeds.

    A ``durable`` one survives a power cut. An error of the operating system is MrcontrastError.
    """
    with _temporary(path) as unfinished:
        yield unfinished
        if durable:
            with unfinished.open("rb") as file:
                os.fsync(file.fileno())
        unfinished.replace(path)


@contextmanager
def making_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder to fill; it becomes ``path`` when the block succeeds."""
    with _temporary(path) as unfinished:
        unfinished.mkdir()
        yield unfinished
        unfinished.rename(path)


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """Yield an unused name in the folder of ``path``, and remove its file or folder at the end."""
    unfinished = unfinished_name(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_left_over(path.parent)
        yield unfinished
    except OSError as error:
        raise MrcontrastError(
            f"Expected a place that can be written to, got the error: {error.strerror or error} "
            f"({path}). Choose another folder or free some space."
        ) from error
    finally:
        with suppress(OSError):  # renamed by now, or in a folder that cannot be written to
            _remove(unfinished)


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def unfinished_name(path: Path) -> Path:
    """Return a hidden name in the folder of ``path`` that no process of any machine uses."""
    kept = path.name[-KEPT_CHARACTERS:]
    return path.with_name(
        f".mrcontrast-{process_space()}-{os.getpid()}-{secrets.token_hex(4)}-{kept}"
    )


@cache
def process_space() -> str:
    """Return a hash of the host, its boot and the container: process ids are unique there."""
    facts = [platform.node()]
    with suppress(OSError):
        facts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8"))
    with suppress(OSError):
        facts.append(str(Path("/proc/self/ns/pid").stat().st_ino))
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:12]


def remove_left_over(folder: Path) -> None:
    """Remove temporary files and folders of dead processes; one that cannot be removed stays."""
    for path in folder.glob(".mrcontrast-*"):
        with suppress(OSError):
            if is_left_over(path):
                _remove(path)


def is_left_over(path: Path) -> bool:
    """Return whether a path is a temporary file or folder of ours that no process writes.

    Its process is dead, or, since those of other hosts cannot be queried, it is a day old.
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
    """Return whether a process of this host and container runs; zombies do not."""
    try:
        os.kill(process, 0)
        state = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return state.rpartition(")")[2].split()[0] != "Z"


def move(source: Path, target: Path, advice: str = "Move it away by hand.") -> None:
    """Rename a folder; raise MrcontrastError if the operating system refuses."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        remove_left_over(target)
        source.rename(target)
    except OSError as error:
        raise MrcontrastError(
            f"Expected a folder that can be moved to {target}, got the error: "
            f"{error.strerror or error} ({source}). {advice}"
        ) from error


def check_links(root: Path, paths: Iterable[Path], kind: str, advice: str) -> None:
    """Raise MrcontrastError if a path is a link out of a folder: work would write at its end."""
    real = root.resolve()
    for path in paths:
        if path.is_symlink() and not path.resolve().is_relative_to(real):
            raise MrcontrastError(
                f"Expected no link that leads out of the {kind}, got {path} -> {path.readlink()}. "
                f"Remove the link, or {advice}."
            )
