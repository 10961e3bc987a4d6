"""The same work for each of many subjects, in this process or in several."""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def map_in_order(
    work: Callable[[Item], Result], items: Sequence[Item], num_workers: int
) -> Iterator[Result]:
    """Yield ``work`` of each item in order; a worker has one thread, so that they do not crowd.

    Args:
        work: Can be pickled, and so can what it returns.
        items: What to work on.
        num_workers: Processes; 0 works in this one.
    """
    if num_workers < 1 or not items:
        yield from map(work, items)
        return
    context = multiprocessing.get_context("spawn")
    count = min(num_workers, len(items))
    with _one_thread_each(), ProcessPoolExecutor(count, mp_context=context) as pool:
        yield from pool.map(work, items)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Let processes that start in this block use one thread each; this one is not changed."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
