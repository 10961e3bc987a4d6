"""From a recipe to a prepared data set on disk, in processes here or on a cluster."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from mrcontrast.data.manifest import Manifest
from mrcontrast.preparation.cluster import on_cluster
from mrcontrast.preparation.duplicates import Compared
from mrcontrast.preparation.header_remarks import header_remarks
from mrcontrast.preparation.outcome import Outcome, read_outcome, write_outcome
from mrcontrast.preparation.output import (
    check_content,
    find_out,
    remove_strangers,
    write_descriptions,
)
from mrcontrast.preparation.processes import in_processes
from mrcontrast.preparation.publishing import replaced, same_data, staged
from mrcontrast.preparation.quality_page import write_quality_page
from mrcontrast.preparation.recipe import Recipe
from mrcontrast.preparation.session import LEFT_OUT, Dropped, Entry, Remark
from mrcontrast.preparation.sides import EMPTY_VAL, changed_sides, check_split, with_splits
from mrcontrast.preparation.tables import write_tables
from mrcontrast.preparation.work import Work, lost

Report = Callable[[str], None]


@dataclass(frozen=True)
class Prepared:
    """What a run of a recipe has made.

    Attributes:
        manifest: Of the data set as it stands on disk.
        dropped: What was left out, and why.
        remarks: What a person should look at.
        reused: Sessions that an earlier run had finished.
        unchanged: Whether the folder is as it was before the run.
        changed_sides: Subjects that stood on another side of the split before the run.
    """

    manifest: Manifest
    dropped: list[Dropped]
    remarks: list[Remark] = field(default_factory=list)
    reused: int = 0
    unchanged: bool = False
    changed_sides: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Workers:
    """Where sessions are prepared.

    Attributes:
        count: Processes on this machine, >= 1; not used with a scheduler.
        scheduler: Address of a Dask scheduler, such as "tcp://10.0.0.5:8786", or None.
    """

    count: int = 1
    scheduler: str | None = None

    def run(self, work: Work, entries: list[Entry]) -> Iterator[Outcome]:
        """Yield the outcomes in the order of the entries."""
        if self.scheduler is None:
            return in_processes(work, entries, self.count, lost)
        return on_cluster(work, entries, self.scheduler, work.stage, lost)


def prepare_dataset(
    recipe: Recipe, out: Path | str, recipe_text: str, workers: int | Workers, report: Report
) -> Prepared:
    """Run a recipe and put the data set at ``out``, whole or not at all.

    Finished sessions of an interrupted run and of an earlier data set are reused where their raw
    files and the operators are the same.

    Args:
        recipe: What to do.
        out: Folder of the data set; replaced if the same recipe, up to its split, made it.
        recipe_text: The resolved recipe as YAML, stored with the data.
        workers: Where to work; a number means processes of this machine.
        report: Called with one line for each session.

    Raises:
        MrcontrastError: Nothing or too little is left, or ``out`` cannot be written.
        UsageError: ``out`` holds something else, or is no place for a data set.
    """
    workers = Workers(workers) if isinstance(workers, int) else workers
    out = find_out(str(out), recipe.folders)
    check_content(replaced(out) if not out.exists() else out, recipe_text)
    entries, dropped, remarks = recipe.index()
    for item in dropped:
        if item.kind != LEFT_OUT:
            report(dropped_line(item))
    with staged(out) as stage:
        if entries:
            sides = check_split(recipe, entries, dropped, (stage, out)).values()
            if "train" in sides and "val" not in sides:
                report(EMPTY_VAL.format(len(sides)))
        outcomes = []
        for outcome in workers.run(Work(recipe, stage, out), entries):
            report(_line(outcome))
            outcomes.append(outcome)
        reused = sum(outcome.reused for outcome in outcomes)
        compared = _compared(recipe, outcomes, stage, report)
        outcomes = compared.outcomes
        remarks = [*remarks, *compared.remarks, *header_remarks(outcomes)]
        dropped += [outcome.dropped for outcome in outcomes if outcome.dropped is not None]
        records = [outcome.record for outcome in outcomes if outcome.record is not None]
        manifest = Manifest(with_splits(recipe, records, dropped, compared.person_of), stage)
        manifest.write()
        write_descriptions(stage, recipe_text, recipe.folders)
        write_tables(stage, dropped, outcomes, remarks)
        splits = {record.name: record.split for record in manifest.records}
        write_quality_page(stage, outcomes, dropped, remarks, splits)
        wanted = {path for record in records for path in record.files.values()}
        remove_strangers(stage, wanted, {outcome.name for outcome in outcomes})
        unchanged, moved = same_data(stage, out), changed_sides(manifest, out)
    return Prepared(Manifest.read(out), dropped, remarks, reused, unchanged, moved)


def dropped_line(item: Dropped) -> str:
    """Report what was left out in one line."""
    return f"dropped {item.name} by {item.operator}: {item.reason}"


def _compared(recipe: Recipe, outcomes: list[Outcome], stage: Path, report: Report) -> Compared:
    """Let the recipe compare all sessions with each other; remember those that drop out."""
    if recipe.deduplicate is None:
        return Compared(outcomes)
    compared = recipe.deduplicate.compare(outcomes)
    for before, after in zip(outcomes, compared.outcomes, strict=True):
        if after.dropped is not None and before.dropped is None:
            report(dropped_line(after.dropped))
            whole = read_outcome(after.name, stage) or after
            write_outcome(replace(whole, record=None, dropped=after.dropped), stage)
    return compared


def _line(outcome: Outcome) -> str:
    """Report one session in one line."""
    if outcome.dropped is not None:
        return dropped_line(outcome.dropped)
    return f"{'reused' if outcome.reused else 'prepared'} {outcome.name}"
