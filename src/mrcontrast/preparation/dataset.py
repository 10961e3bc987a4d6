"""From a recipe to a prepared data set on disk, in one or several processes."""

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from mrcontrast.data.manifest import Manifest, Record
from mrcontrast.errors import MrcontrastError
from mrcontrast.preparation.output import check_out, staged, write_subject, write_tables
from mrcontrast.preparation.recipe import Recipe
from mrcontrast.preparation.subject import Dropped, Entry

Report = Callable[[str], None]


@dataclass(frozen=True)
class Prepared:
    """What a run of a recipe has made.

    Attributes:
        manifest: Of the data set as it stands on disk.
        dropped: What was left out, and why.
    """

    manifest: Manifest
    dropped: list[Dropped]


def prepare_dataset(
    recipe: Recipe, out: Path, recipe_text: str, num_workers: int, report: Report
) -> Prepared:
    """Run a recipe and put the data set at ``out``, whole or not at all.

    Args:
        recipe: What to do.
        out: Folder of the data set; replaced if the same recipe made it.
        recipe_text: The resolved recipe as YAML, stored with the data.
        num_workers: Processes, >= 1; sessions are spread over them.
        report: Called with one line for each session.

    Raises:
        MrcontrastError: Nothing or too little is left, or ``out`` cannot be written.
        UsageError: ``out`` holds something else.
    """
    out = out.absolute()
    check_out(out, recipe_text, recipe.folders)
    entries, dropped = recipe.index()
    for item in dropped:
        report(_line(item))
    records: list[Record] = []
    with staged(out) as stage:
        for result in _results(partial(_prepare_one, recipe, stage), entries, num_workers):
            report(_line(result))
            if isinstance(result, Dropped):
                dropped.append(result)
            else:
                records.append(result)
        manifest = Manifest(_with_splits(recipe, records, dropped), stage)
        manifest.write()
        write_tables(stage, dropped, recipe_text, recipe.folders)
    return Prepared(Manifest.read(out), dropped)


def _prepare_one(recipe: Recipe, root: Path, entry: Entry) -> Record | Dropped:
    """Prepare and write one session; runs in a worker."""
    subject = recipe.apply(entry)
    return subject if isinstance(subject, Dropped) else write_subject(subject, entry, root)


def _results(
    work: Callable[[Entry], Record | Dropped], entries: list[Entry], num_workers: int
) -> Iterator[Record | Dropped]:
    """Yield the results in the order of the entries.

    Raises:
        MrcontrastError: A worker was killed, most often for memory.
    """
    if min(num_workers, len(entries)) <= 1:
        yield from map(work, entries)
        return
    context = multiprocessing.get_context("spawn")  # a fork of a process with threads can hang
    with ProcessPoolExecutor(min(num_workers, len(entries)), context) as pool:
        try:
            yield from pool.map(work, entries)
        except BrokenProcessPool as error:
            raise MrcontrastError(
                "Expected workers that live, got one that was killed (out of memory?). "
                "Lower num_workers."
            ) from error


def _with_splits(recipe: Recipe, records: list[Record], dropped: list[Dropped]) -> list[Record]:
    """Give each record the side of its subject."""
    if not records:
        raise MrcontrastError(
            f"Expected at least one good pair, got {len(dropped)} faulty; the first: "
            f"{dropped[0].reason}"
        )
    names = sorted({record.subject for record in records})
    lost = {item.subject for item in dropped} - set(names)
    sides = recipe.split.assign(names, lost)
    return [replace(record, split=sides[record.subject]) for record in records]


def _line(result: Record | Dropped) -> str:
    """Report one session in one line."""
    if isinstance(result, Record):
        return f"prepared {result.name}"
    name = result.subject if result.session is None else f"{result.subject}_{result.session}"
    return f"dropped {name} by {result.operator}: {result.reason}"
