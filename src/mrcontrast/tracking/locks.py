"""A file held against other processes, where the file system can."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


@contextmanager
def held(path: Path, seconds: float) -> Iterator[bool]:
    """Hold a file against other processes, and yield whether it is so.

    A file system without locks, a folder that may only be read, or another process that takes
    longer, ends no training.

    Args:
        path: The file; a lock file lies beside it.
        seconds: How long to wait for another process.
    """
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire(timeout=seconds)
    except Timeout:
        yield False
        return
    except (OSError, NotImplementedError):
        yield True
        return
    try:
        yield True
    finally:
        lock.release()
