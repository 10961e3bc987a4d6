"""One process at a time in a folder."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EACCES, EPERM, EROFS
from pathlib import Path

from filelock import FileLock, Timeout

from mrcontrast.errors import MrcontrastError

log = logging.getLogger(__name__)
PATIENCE_SECONDS = 7.0  # data workers of a killed training notice within 5 s and free its lock


@contextmanager
def alone(folder: Path, name: str, work: str) -> Iterator[None]:
    """Hold a folder against other processes, on this machine and over a network file system.

    The operating system frees the lock when a process dies, however it does. A folder that cannot
    be written to needs no lock; one on a file system without locks is used without, with a warning.

    Args:
        folder: Made if absent.
        name: Name of the lock file in it, which is removed at the end.
        work: For the message: "training".

    Raises:
        MrcontrastError: Another process holds it, or the folder cannot be made.
    """
    path, is_new = folder / name, not folder.exists()
    lock = FileLock(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=PATIENCE_SECONDS)
    except Timeout as error:
        raise MrcontrastError(
            f"Expected one {work} at a time in a folder, got another one at work ({folder}). "
            "Wait for it, or choose another folder."
        ) from error
    except (OSError, NotImplementedError) as error:
        if not folder.is_dir():
            raise MrcontrastError(
                f"Expected a place that can be written to, got the error: {error} ({folder}). "
                "Choose another folder."
            ) from error
        if getattr(error, "errno", None) not in (EACCES, EPERM, EROFS):
            log.warning("No lock in %s (%s): start no second %s there.", folder, error, work)
        yield
        return
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # while it is held: never the lock of another process
        lock.release()
        if is_new:
            with suppress(OSError):  # it is in use
                folder.rmdir()
