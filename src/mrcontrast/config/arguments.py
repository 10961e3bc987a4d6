"""Checks of typed paths and names, before anything heavy is imported."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mrcontrast.errors import MrcontrastError, UsageError

SIGN_WITHIN = 65536  # bytes from the start of a file


def check_exists(paths: Mapping[str, Path | str | None]) -> None:
    """Raise UsageError for a missing path, by option or key; "runs:/ID" and None pass."""
    for option, path in paths.items():
        if is_missing(path):
            raise UsageError(
                f"Expected a file or folder, got none ({path}). Check the path of {option}."
            )


def is_missing(path: Path | str | None) -> bool:
    """Return whether a path is given and does not exist; references are never missing."""
    return path is not None and ":/" not in str(path) and not Path(path).exists()


def check_folder(value: Any, key: str) -> str:  # noqa: ANN401 - as typed
    """Return a folder as typed; raise UsageError for an empty one, such as an unset variable."""
    if value is None or not str(value).strip():
        raise UsageError(f"Expected a folder, got none ({key}). Set {key}=FOLDER.")
    return str(value)


def check_name(name: Any, key: str, parts: int | None = None) -> None:  # noqa: ANN401 - as typed
    """Raise UsageError for the name of a folder that is empty, absolute, or leads elsewhere."""
    path = Path("" if name is None else str(name).strip())
    inside = path.parts and ".." not in path.parts and not path.is_absolute()
    if not inside or (parts is not None and len(path.parts) > parts):
        raise UsageError(f"Expected the name of a folder, got '{name}' ({key}). Set {key}=NAME.")


def check_replaces_own(path: Path, sign: str, key: str) -> None:
    """Raise MrcontrastError if another file is there than one of ours, which begins with a sign."""
    if not path.exists():
        return
    found = b""
    if path.is_file():
        with path.open("rb") as file:
            found = file.read(SIGN_WITHIN)
    if sign.encode() not in found:
        raise MrcontrastError(
            f"Expected no file or one that this command has written, got another ({path}). "
            f"Choose another {key}."
        )


def check_own_folder(folder: Path, key: str, shared: Iterable[Path]) -> None:
    """Raise UsageError if a folder is one of the shared ones, or contains one."""
    path = folder.resolve()
    for other in map(Path.resolve, shared):
        if path == other or path in other.parents:
            raise UsageError(f"Expected a folder of its own, got {path} ({key}). Set {key}=FOLDER.")
