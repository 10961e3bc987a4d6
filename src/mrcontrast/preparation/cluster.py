"""Sessions spread over the workers of a Dask cluster that runs already."""

import importlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType

from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.preparation.outcome import Outcome
from mrcontrast.preparation.session import Entry

CONNECT_S = 20
DEATH = "several times over on the cluster"


def on_cluster(
    run: Callable[[Entry], Outcome],
    entries: Sequence[Entry],
    scheduler: str,
    stage: Path,
    lost: Callable[[Entry, str], Outcome],
) -> Iterator[Outcome]:
    """Yield the outcomes in the order of the entries.

    A session whose worker dies is given to another one; the scheduler's ``allowed-failures`` says
    how often. The workers must have mrcontrast installed and see the same files.

    Args:
        run: Prepares one session; can be pickled.
        entries: The sessions.
        scheduler: Address, such as "tcp://10.0.0.5:8786".
        stage: Folder that the workers write to.
        lost: Makes the outcome of a session that has killed its workers.

    Raises:
        UsageError: Nobody answers at the address, or ``distributed`` is not installed.
        MrcontrastError: The workers write to another file system than ours, or the scheduler dies.
    """
    distributed = _load()
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
                outcome = lost(entry, DEATH)
            except distributed.client.FutureCancelledError as error:
                raise MrcontrastError(
                    f"Expected a scheduler that lives, got none any more ({scheduler}). Start it "
                    "and run the same command: finished sessions are kept."
                ) from error
            _refuse_other_files(outcome, stage)
            yield outcome


def _refuse_other_files(outcome: Outcome, stage: Path) -> None:
    """Refuse a cluster that writes to files of its own."""
    if outcome.record is not None and not outcome.record.brain_mask.is_file():
        raise MrcontrastError(
            f"Expected workers that write to our file system, got none of their files "
            f"({stage}). Choose an out= that all workers share."
        )


def _load() -> ModuleType:
    """Import distributed."""
    try:
        return importlib.import_module("distributed")
    except ImportError as error:
        raise UsageError(
            "Expected the package distributed for scheduler=, got none. "
            'Run pip install "mrcontrast[cluster]".'
        ) from error
