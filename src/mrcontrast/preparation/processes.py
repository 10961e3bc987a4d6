"""Sessions in processes of this machine; one that kills its worker does not end the run."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress

from mrcontrast.preparation.outcome import Outcome
from mrcontrast.preparation.session import Entry
from mrcontrast.storage.parallel import one_thread_each

Run = Callable[[Entry], Outcome]
Lost = Callable[[Entry, str], Outcome]
DEATH = "(out of memory?)"


def in_processes(
    run: Run, entries: Sequence[Entry], num_workers: int, lost: Lost
) -> Iterator[Outcome]:
    """Yield the outcomes in the order of the entries.

    Args:
        run: Prepares one session; can be pickled.
        entries: The sessions.
        num_workers: Processes, >= 1; one works in this process.
        lost: Makes the outcome of a session whose worker has died.
    """
    if min(num_workers, len(entries)) <= 1:
        yield from map(run, entries)
        return
    waiting, finished = list(entries), dict[str, Outcome]()
    while waiting:
        missing = [entry for entry in waiting if entry.name not in finished]
        with _pool(min(num_workers, len(missing))) as pool:
            futures = _submit(pool, run, missing)
            try:
                while waiting:
                    name = waiting[0].name
                    yield finished.pop(name) if name in finished else _result(futures, name)
                    del waiting[0]
            except BrokenProcessPool:
                done = {name: each for name, each in futures.items() if _has_result(each)}
        if not waiting:
            return
        left = [entry.name for entry in waiting]
        finished |= {name: done[name].result() for name in left if name in done}
        # The pool starts sessions in order: what has died was one of the first unfinished ones.
        suspects = [entry for entry in waiting if entry.name not in finished][:num_workers]
        finished |= {entry.name: _alone(run, entry, lost) for entry in suspects}
        while waiting and waiting[0].name in finished:
            yield finished.pop(waiting.pop(0).name)


def _submit(
    pool: ProcessPoolExecutor, run: Run, entries: Sequence[Entry]
) -> dict[str, Future[Outcome]]:
    """Hand the sessions to a pool, which starts its processes with one thread each."""
    futures: dict[str, Future[Outcome]] = {}
    with one_thread_each(), suppress(BrokenProcessPool):  # what is not handed over waits
        for entry in entries:
            futures[entry.name] = pool.submit(run, entry)
    return futures


def _result(futures: dict[str, Future[Outcome]], name: str) -> Outcome:
    """Return an outcome, or raise BrokenProcessPool."""
    if name not in futures:
        raise BrokenProcessPool(name)
    return futures[name].result()


def _alone(run: Run, entry: Entry, lost: Lost) -> Outcome:
    """Prepare one session in a process of its own."""
    with _pool(1) as pool:
        try:
            return _result(_submit(pool, run, [entry]), entry.name)
        except BrokenProcessPool:
            return lost(entry, DEATH)


@contextmanager
def _pool(size: int) -> Iterator[ProcessPoolExecutor]:
    """Yield processes that are started anew: a fork of a process with threads can hang."""
    pool = ProcessPoolExecutor(size, multiprocessing.get_context("spawn"))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _has_result(future: Future[Outcome]) -> bool:
    """Return whether a session was finished before its pool broke."""
    return future.done() and not future.cancelled() and future.exception() is None
