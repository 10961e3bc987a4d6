"""The interface of trackers of a training; this one keeps no record."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig

from mrcontrast.runs.folder import RunFolder


class NoTracker:
    """Keep no record but the run folder's own; see ``MlflowTracker`` for the methods."""

    run_id: str | None = None
    takes_up_lost_runs = False

    def open(self, folder: RunFolder, config: DictConfig, run_id: str | None) -> None:
        """Do nothing."""

    def take_up_open(self, folder: RunFolder, run_id: str | None) -> bool:
        """Return False."""
        return False

    def loggers(self) -> list[Logger]:
        """Return no logger."""
        return []

    def kill_lost_children(self, is_alive: Callable[[str], bool]) -> None:
        """Do nothing."""

    def note_failed_child(self, folder: Path, error: str) -> None:
        """Do nothing."""

    def log_tags(self, tags: Mapping[str, str]) -> None:
        """Do nothing."""

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Do nothing."""

    def log_file(self, path: Path, folder: str | None = None) -> None:
        """Do nothing."""

    def close(self, status: str) -> None:
        """Do nothing."""


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
