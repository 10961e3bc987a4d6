"""The work on one session, in processes of this machine or on the workers of a Dask cluster."""

import importlib
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.preparation.duplicates import look_of
from mrcontrast.preparation.outcome import Outcome, Trail, find_finished, key_of, write_outcome
from mrcontrast.preparation.output import remove_session, write_subject
from mrcontrast.preparation.pictures import draw_pictures
from mrcontrast.preparation.recipe import Recipe, broken
from mrcontrast.preparation.session import BROKEN, Dropped, Entry
from mrcontrast.preparation.subject import Subject
from mrcontrast.storage.parallel import one_thread_each


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


Run = Callable[[Entry], Outcome]
CONNECT_S = 20
OUT_OF_MEMORY, ON_CLUSTER = "(out of memory?)", "several times over on the cluster"


@dataclass(frozen=True)
class Workers:
    """Processes that prepare sessions: ``count`` of this machine, or those of a Dask scheduler.

    ``scheduler`` is its address, such as "tcp://10.0.0.5:8786".
    """

    count: int = 1
    scheduler: str | None = None

    def run(self, work: Work, entries: list[Entry]) -> Iterator[Outcome]:
        """Yield the outcomes in the order of the entries."""
        if self.scheduler is None:
            return in_processes(work, entries, self.count)
        return on_cluster(work, entries, self.scheduler, work.stage)


def in_processes(run: Run, entries: Sequence[Entry], num_workers: int) -> Iterator[Outcome]:
    """Yield the outcomes of processes of this machine; one process works in this one.

    A session that kills its worker is tried again alone, and does not end the run of the others.
    """
    if min(num_workers, len(entries)) <= 1:
        yield from map(run, entries)
        return
    waiting, finished = list(entries), dict[str, Outcome]()
    while waiting:
        missing = [entry for entry in waiting if entry.name not in finished]
        with _pool(min(num_workers, len(missing))) as pool, suppress(BrokenProcessPool):
            futures = _submit(pool, run, missing)
            while waiting:
                name = waiting[0].name
                yield finished.pop(name) if name in finished else _result(futures, name)
                del waiting[0]
        for entry in waiting:
            done = futures.get(entry.name)
            if done and done.done() and not done.cancelled() and done.exception() is None:
                finished[entry.name] = done.result()
        # The pool starts sessions in order, so one of the first unfinished ones has died.
        suspects = [entry for entry in waiting if entry.name not in finished][:num_workers]
        finished |= {entry.name: _alone(run, entry) for entry in suspects}
        while waiting and waiting[0].name in finished:
            yield finished.pop(waiting.pop(0).name)


def _submit(
    pool: ProcessPoolExecutor, run: Run, entries: Sequence[Entry]
) -> dict[str, Future[Outcome]]:
    """Submit the sessions to a pool, which starts its processes with one thread each."""
    futures: dict[str, Future[Outcome]] = {}
    with one_thread_each(), suppress(BrokenProcessPool):  # sessions not submitted wait
        for entry in entries:
            futures[entry.name] = pool.submit(run, entry)
    return futures


def _result(futures: dict[str, Future[Outcome]], name: str) -> Outcome:
    """Return an outcome, or raise BrokenProcessPool."""
    if name not in futures:
        raise BrokenProcessPool(name)
    return futures[name].result()


def _alone(run: Run, entry: Entry) -> Outcome:
    """Prepare one session in a process of its own."""
    with _pool(1) as pool:
        try:
            return _result(_submit(pool, run, [entry]), entry.name)
        except BrokenProcessPool:
            return lost(entry, OUT_OF_MEMORY)


@contextmanager
def _pool(size: int) -> Iterator[ProcessPoolExecutor]:
    """Yield spawned processes: a fork of a process with threads can hang."""
    pool = ProcessPoolExecutor(size, multiprocessing.get_context("spawn"))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def on_cluster(
    run: Run, entries: Sequence[Entry], scheduler: str, stage: Path
) -> Iterator[Outcome]:
    """Yield the outcomes of the workers of a Dask cluster, which must see the same files.

    A session whose worker dies goes to another one, as often as the scheduler's
    ``allowed-failures``. UsageError: no scheduler answers, or ``distributed`` is not installed.
    """
    try:
        distributed = importlib.import_module("distributed")
    except ImportError as error:
        raise UsageError(
            "Expected the package distributed for scheduler=, got none. "
            'Run pip install "mrcontrast[cluster]".'
        ) from error
    try:
        client = distributed.Client(scheduler, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"Expected a Dask scheduler, got none that answers ({scheduler}). "
            "Start one with `dask scheduler`, or correct scheduler=."
        ) from error
    with client:
        futures = client.map(run, list(entries), pure=False)
        for entry, future in zip(entries, futures, strict=True):
            try:
                outcome = future.result()
            except distributed.scheduler.KilledWorker:
                outcome = lost(entry, ON_CLUSTER)
            except distributed.client.FutureCancelledError as error:
                raise MrcontrastError(
                    f"Expected a scheduler that lives, got none any more ({scheduler}). Start it "
                    "and run the same command: finished sessions are kept."
                ) from error
            if outcome.record is not None and not outcome.record.brain_mask.is_file():
                raise MrcontrastError(
                    f"Expected workers that write to our file system, got none of their files "
                    f"({stage}). Choose an out= that all workers share."
                )
            yield outcome
