"""Paths that a person has typed: looked at before anything heavy is imported."""

from collections.abc import Mapping
from pathlib import Path

from mrcontrast.errors import UsageError


def refuse_missing(paths: Mapping[str, Path | str | None]) -> None:
    """Refuse paths that are not there; other references, such as "runs:/ID", pass.

    Args:
        paths: By the option or key that gave them; None was not given.

    Raises:
        UsageError: One is not there; it is named with its option.
    """
    for option, path in paths.items():
        if path is None or ":/" in str(path) or Path(path).exists():
            continue
        raise UsageError(
            f"Expected a file or folder, got none ({path}). Check the path of {option}."
        )
