"""A sweep folder may come from elsewhere: it is data, and nothing outside it is written to."""

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_origin

from mrcontrast.config.types import fits
from mrcontrast.errors import MrcontrastError
from mrcontrast.storage.files import UNFINISHED

TEXTS = (list[str], dict[str, str])
WORDS = {
    "command": ("train", "study"),
    "state": ("waiting", "running", "finished", "failed", "stopped"),
    "mode": ("min", "max"),
}


def refuse_links(root: Path) -> None:
    """Refuse a sweep folder with links that lead out of it: jobs would write there.

    Raises:
        MrcontrastError: There is one; it is named.
    """
    real = root.resolve()
    for folder, folders, files in os.walk(root):
        for path in (Path(folder) / name for name in (*folders, *files)):
            if path.is_symlink() and not path.resolve().is_relative_to(real):
                raise MrcontrastError(
                    f"Expected no link that leads out of the sweep, got {path} -> "
                    f"{path.readlink()}. Remove the link, or choose another name=NAME."
                )


def refuse_content(content: Any, hints: Mapping[str, Any]) -> None:  # noqa: ANN401
    """Refuse content that is not that of a job's file.

    Args:
        content: Whatever the file holds.
        hints: Key -> annotation.

    Raises:
        TypeError: It is no table, or a value has another type.
        ValueError: A word is not one of the known ones, or a number is not finite.
    """
    if not isinstance(content, dict):
        raise TypeError(f"no table but a {type(content).__name__}")
    for key, value in content.items():
        hint = hints.get(key)
        is_table = get_origin(hint) is dict
        if isinstance(value, dict) != is_table or not (is_table or fits(value, hint)):
            raise TypeError(f"{key} {value!r}")
        entries = list(value.values()) if is_table else value
        if hint in TEXTS and not all(isinstance(entry, str) for entry in entries):
            raise TypeError(f"{key} {value!r}")
        if value not in WORDS.get(key, (value,)):
            raise ValueError(f"{key} {value!r}")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{key} {value}")


def is_free_place(folder: Path, left: Sequence[str]) -> bool:
    """Return whether a folder is not there, or holds only what a job leaves that never began.

    Args:
        folder: The folder.
        left: Names of such files.
    """
    if folder.is_symlink() or not folder.is_dir():
        return not os.path.lexists(folder)
    return all(
        path.name in left or UNFINISHED.fullmatch(path.name) is not None
        for path in folder.iterdir()
    )


def append_line(path: Path, line: str) -> None:
    """Append a line to a file by one short write, which is never torn; a link is not followed."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
    with os.fdopen(os.open(path, flags, 0o666), "a", encoding="utf-8") as file:
        file.write(line)
