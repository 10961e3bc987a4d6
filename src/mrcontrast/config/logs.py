"""Progress lines on the standard output."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

log = logging.getLogger(__name__)
FIRST_SECONDS, MOST_SECONDS = 30.0, 300.0  # between two lines


def show_progress() -> None:
    """Write the log lines of this package to the standard output, without prefix."""
    ours = logging.getLogger("mrcontrast")
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    ours.handlers = [handler]
    ours.setLevel(logging.INFO)
    ours.propagate = False


class Pace:
    """Space lines of progress: a tenth of the time so far apart, within bounds of seconds."""

    def __init__(self, first: float = FIRST_SECONDS, most: float = MOST_SECONDS) -> None:
        self.first, self.most = first, most
        self.began = self.last = time.monotonic()

    def is_due(self) -> bool:
        """Return whether a line is due, and restart the interval if so."""
        now = time.monotonic()
        wait = max(self.first, min((now - self.began) / 10, self.most)) if self.first else 0.0
        if now - self.last < wait:
            return False
        self.last = now
        return True


class Progress:
    """Report now and then how much of some ``work``, such as "translated", is done."""

    def __init__(self, work: str, total: int) -> None:
        self.work, self.total, self.pace = work, total, Pace()

    def update(self, done: float) -> None:
        """Write a line if it is due, for ``done`` items or parts of them."""
        if done < self.total and self.pace.is_due():
            spent = self.pace.last - self.pace.began
            left = f", {duration(spent * (self.total / done - 1))} left" if done > 0 else ""
            log.info("%s %d of %d%s", self.work, int(done), self.total, left)


def counted(items: Iterable[Item], work: str, total: int) -> Iterator[Item]:
    """Yield items and report their number now and then; see ``Progress``."""
    progress = Progress(work, total)
    for done, item in enumerate(items, start=1):
        yield item
        progress.update(done)


def duration(seconds: float) -> str:
    """Format a duration with at most two units, such as "2 min 5 s"."""
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
