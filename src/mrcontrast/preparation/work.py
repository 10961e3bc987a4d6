"""The work on one session, from its raw files to its files in the data set."""

import time
from dataclasses import dataclass, replace
from pathlib import Path

from mrcontrast.errors import MrcontrastError
from mrcontrast.preparation.duplicates import look_of
from mrcontrast.preparation.outcome import Outcome, Trail, find_finished, key_of, write_outcome
from mrcontrast.preparation.output import remove_session, write_subject
from mrcontrast.preparation.pictures import draw_pictures
from mrcontrast.preparation.recipe import Recipe, broken
from mrcontrast.preparation.session import BROKEN, Dropped, Entry
from mrcontrast.preparation.subject import Subject


@dataclass(frozen=True)
class Work:
    """Prepare one session after the other; worker processes receive it.

    All workers see the folder ``stage`` under this name; ``earlier`` is the data set of an earlier
    run, or its place.
    """

    recipe: Recipe
    stage: Path
    earlier: Path

    def __call__(self, entry: Entry) -> Outcome:
        """Return the outcome of a session, of now or of an earlier run.

        UsageError: the recipe is at fault; MrcontrastError: the folder cannot be written.
        """
        key = key_of(entry, self.recipe.identity)
        finished = find_finished(entry, key, self.stage, self.earlier)
        outcome = self._prepare(entry, key) if finished is None else finished
        return replace(outcome, pictures={})  # they stay on disk: thousands would fill the memory

    def _prepare(self, entry: Entry, key: str) -> Outcome:
        """Apply the recipe to a session and write it; its own file comes last."""
        began, trail = time.monotonic(), Trail()
        result = self.recipe.apply(entry, trail)
        remove_session(entry, self.stage)
        outcome = Outcome(entry.name, key, changes=trail.changes, prints=trail.prints)
        outcome = replace(outcome, pictures=_pictures(trail.last))
        try:
            if isinstance(result, Dropped):
                outcome = replace(outcome, dropped=result)
            else:
                record = write_subject(result, entry, self.stage, self.recipe.grid.spacing_mm)
                look = look_of(result) if self.recipe.compares_looks else ""
                outcome = replace(outcome, record=record, look=look)
            outcome = replace(outcome, seconds=round(time.monotonic() - began, 2))
            write_outcome(outcome, self.stage)
        except MrcontrastError:
            raise
        except Exception as error:  # one broken session must not end the run of the others
            outcome = Outcome(entry.name, key, dropped=broken(entry, "write", error))
            remove_session(entry, self.stage)
            write_outcome(outcome, self.stage)
        return outcome


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
