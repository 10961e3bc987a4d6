"""Outputs that would take the place of inputs, of each other, or of files that are not ours."""

import unicodedata
from collections.abc import Sequence
from pathlib import Path

from mrcontrast.data.predictions import PredictionFiles
from mrcontrast.errors import UsageError
from mrcontrast.inference.translation_jobs import Job


def check_collisions(jobs: Sequence[Job]) -> None:
    """Check that no job replaces an input, another's output, or a file that is not ours.

    Names that differ by case alone are one name: some file systems cannot tell them apart.
    """
    inputs = [path for job in jobs for path in job.inputs]
    read_names, read_files = {_place(path) for path in inputs}, {_file(path) for path in inputs}
    sources: dict[str, tuple[Path, ...]] = {}
    for job in jobs:
        files = PredictionFiles(job.output)
        for path in files.names(job.strip_skull):
            place = _place(path)
            other = sources.setdefault(place, job.sources)
            if other != job.sources:
                raise UsageError(
                    f"Expected one source of {path.name}, got {other[0]} and {job.source}. "
                    "Rename one of them."
                )
            if place in read_names or (path.exists() and _file(path) in read_files):
                raise UsageError(
                    f"Expected outputs apart from inputs, got an input in the place of the output "
                    f"{path}. Choose another OUT."
                )
        files.refuse_foreign(job.strip_skull)


def _place(path: Path) -> str:
    """Return a file's absolute name, without differences that a file system may not keep."""
    whole = str(path.parent.resolve() / path.name)
    return unicodedata.normalize("NFC", whole).casefold()


def _file(path: Path) -> tuple[int, int] | None:
    """Return what links to one file share; None for a missing file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
