"""Files that are whole or absent, and what tells one from another."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mrcontrast.errors import MrcontrastError


def sha256_file(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text, whole or not at all."""
    with replacing(Path(path)) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def write_json(path: str | Path, obj: Any) -> None:  # noqa: ANN401 - whatever JSON can hold
    """Write an object as indented JSON, whole or not at all; NaN is refused (``ValueError``)."""
    write_text(path, json.dumps(obj, indent=2, allow_nan=False) + "\n")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a name beside ``path`` to write to; it becomes ``path`` when the block succeeds.

    Raises:
        MrcontrastError: The operating system refuses; the unfinished file is removed.
    """
    unfinished = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield unfinished
        unfinished.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        if unfinished.parent.is_dir():
            unfinished.unlink(missing_ok=True)


@contextmanager
def making_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder to fill; it becomes ``path`` when the block succeeds.

    Raises:
        MrcontrastError: The operating system refuses; the unfinished folder is removed.
    """
    unfinished = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        unfinished.mkdir(parents=True)
        yield unfinished
        unfinished.rename(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _unwritable(path: Path, error: OSError) -> MrcontrastError:
    return MrcontrastError(
        f"Expected a place that can be written to, got the error: {error.strerror or error} "
        f"({path}). Choose another folder or free some space."
    )
