"""The work on one session, from its raw files to its files in the data set."""

import hashlib
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mrcontrast.errors import MrcontrastError
from mrcontrast.preparation.duplicates import look_of
from mrcontrast.preparation.outcome import Outcome, Trail, find_finished, key_of, write_outcome
from mrcontrast.preparation.output import session_files, write_subject
from mrcontrast.preparation.pictures import draw_pictures
from mrcontrast.preparation.recipe import Recipe, broken
from mrcontrast.preparation.session import BROKEN, Dropped, Entry
from mrcontrast.preparation.subject import Subject


@dataclass(frozen=True)
class Work:
    """Prepare one session after the other; worker processes receive it.

    Attributes:
        recipe: The recipe.
        stage: Folder for the sessions; all workers see it under this name.
        earlier: Data set of an earlier run, or its place.
    """

    recipe: Recipe
    stage: Path
    earlier: Path

    def __call__(self, entry: Entry) -> Outcome:
        """Return the outcome of a session, of now or of an earlier run.

        Raises:
            UsageError: The recipe itself is at fault.
            MrcontrastError: The folder cannot be written.
        """
        key = key_of(entry, self.recipe.identity)
        finished = find_finished(entry, key, self.stage, self.earlier)
        outcome = self._prepare(entry, key) if finished is None else finished
        return replace(outcome, pictures={})  # they stay on disk: thousands would fill the memory

    def _prepare(self, entry: Entry, key: str) -> Outcome:
        """Apply the recipe to a session and write it; its own file comes last."""
        began, trail = time.monotonic(), FirstLook()
        result = self.recipe.apply(entry, trail)
        self._clear(entry)
        outcome = Outcome(entry.name, key, changes=trail.changes, prints=trail.prints)
        outcome = replace(outcome, pictures=_pictures(trail.last))
        try:
            outcome = self._written(outcome, result, entry)
            outcome = replace(outcome, seconds=round(time.monotonic() - began, 2))
            write_outcome(outcome, self.stage)
        except MrcontrastError:
            raise
        except Exception as error:  # one broken session must not end the run of the others
            outcome = Outcome(entry.name, key, dropped=broken(entry, "write", error))
            self._clear(entry)
            write_outcome(outcome, self.stage)
        return outcome

    def _clear(self, entry: Entry) -> None:
        """Remove the files that a session has left."""
        for left in session_files(entry, self.stage):
            left.unlink(missing_ok=True)

    def _written(self, outcome: Outcome, result: Subject | Dropped, entry: Entry) -> Outcome:
        """Write the result of the recipe and add it to the outcome."""
        if isinstance(result, Dropped):
            return replace(outcome, dropped=result)
        record = write_subject(result, entry, self.stage, self.recipe.grid.spacing_mm)
        look = look_of(result) if self.recipe.compares_looks else ""
        return replace(outcome, record=record, look=look)


class FirstLook(Trail):
    """A trail that also hashes the raw voxels of each contrast, as ``prints``."""

    def __init__(self) -> None:
        super().__init__()
        self.prints: dict[str, str] = {}

    def __call__(self, operator: str, subject: Subject) -> None:
        """Record the changes that ``operator`` has made."""
        if self.last is None:
            self.prints = {name: _print(v.data) for name, v in subject.images.items()}
        super().__call__(operator, subject)


def lost(entry: Entry, reason: str) -> Outcome:
    """Return the outcome of a session whose worker has died; the next run tries it again."""
    text = (
        f"Expected a worker that lives, got one that died {reason} ({entry.origin}). "
        "Lower workers, or leave the session out."
    )
    dropped = Dropped(entry.subject, entry.session, "worker", text, kind=BROKEN)
    return Outcome(entry.name, "", dropped=dropped)


def _pictures(subject: Subject | None) -> dict[str, str]:
    """Draw a session; one that cannot be drawn has no pictures."""
    try:
        return {} if subject is None else draw_pictures(subject)
    except Exception:  # the session counts, not its picture
        return {}


def _print(data: np.ndarray) -> str:
    """Return the hash of voxels and their shape."""
    whole = np.ascontiguousarray(data, np.float32)
    return hashlib.sha256(str(whole.shape).encode() + whole.tobytes()).hexdigest()
