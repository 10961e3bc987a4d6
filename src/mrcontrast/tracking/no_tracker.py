"""The interface of trackers of a training; this one keeps no record."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lightning.pytorch.loggers import Logger

from mrcontrast.runs.folder import RunFolder


class NoTracker:
    """Keep no record but the run folder's own; see ``MlflowTracker`` for the methods."""

    run_id: str | None = None
    takes_up_lost_runs = False

    def ignore(self, *_: Any, **__: Any) -> None:  # noqa: ANN401 - any arguments
        """Do nothing."""

    open = kill_lost_children = note_failed_child = ignore
    log_tags = log_metrics = log_file = close = ignore

    def take_up_open(self, folder: RunFolder, run_id: str | None) -> bool:
        """Return False."""
        return False

    def loggers(self) -> list[Logger]:
        """Return no logger."""
        return []


@contextmanager
def recorded(tracker: NoTracker) -> Iterator[None]:
    """Close a tracker when its block ends, with FINISHED, FAILED or, by a signal, KILLED."""
    try:
        yield
    except BaseException as error:
        tracker.close(status_after(error))
        raise
    tracker.close("FINISHED")


def status_after(error: BaseException) -> str:
    """Return the status of a run that an error ends: FAILED, or KILLED by a signal."""
    return "FAILED" if isinstance(error, Exception) else "KILLED"
