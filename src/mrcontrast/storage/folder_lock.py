"""Locks between processes, on one machine or over a network file system."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EACCES, EPERM, EROFS
from functools import cache
from pathlib import Path

from filelock import FileLock, Timeout

from mrcontrast.errors import MrcontrastError

warn_once = cache(logging.getLogger(__name__).warning)
PATIENCE_SECONDS = 7.0  # data workers of a killed training notice within 5 s and free its lock


@contextmanager
def held(path: Path, seconds: float = -1) -> Iterator[bool]:
    """Hold a lock file, and yield whether no other process holds it; -1 seconds wait for ever.

    The operating system frees it when a process dies. A folder that cannot be written to or a file
    system without locks ends no work: the block then runs without a lock.
    """
    lock = FileLock(path)
    try:
        lock.acquire(timeout=seconds)
    except Timeout:
        yield False
        return
    except (OSError, NotImplementedError) as error:
        if getattr(error, "errno", None) not in (EACCES, EPERM, EROFS):
            warn_once(f"No lock in {path.parent} ({error}): start no second process there.")
        yield True
        return
    try:
        yield True
    finally:
        lock.release()


@contextmanager
def alone(folder: Path, name: str, work: str) -> Iterator[None]:
    """Hold a folder, created if absent, by a lock file in it that is removed at the end.

    Another process that holds it is MrcontrastError; ``work`` names it, such as "training".
    """
    path, is_new = folder / name, not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MrcontrastError(
            f"Expected a place that can be written to, got the error: {error} ({folder}). "
            "Choose another folder."
        ) from error
    with held(path, PATIENCE_SECONDS) as ours:
        if not ours:
            raise MrcontrastError(
                f"Expected one {work} at a time in a folder, got another one at work ({folder}). "
                "Wait for it, or choose another folder."
            )
        try:
            yield
        finally:
            with suppress(OSError):  # the folder is in use, or cannot be written to
                path.unlink()  # while it is held: never the lock of another process
                if is_new:
                    folder.rmdir()
