"""From a recipe to a prepared data set on disk."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from mrcontrast.data.manifest import Manifest
from mrcontrast.data.record import Record
from mrcontrast.errors import MrcontrastError
from mrcontrast.preparation.duplicates import Compared
from mrcontrast.preparation.outcome import Outcome, read_outcome, write_outcome
from mrcontrast.preparation.output import (
    check_content,
    find_out,
    header_remarks,
    manifest_rows,
    remove_strangers,
    write_descriptions,
    write_tables,
)
from mrcontrast.preparation.publishing import replaced, same_data, staged
from mrcontrast.preparation.quality_page import write_quality_page
from mrcontrast.preparation.recipe import Recipe
from mrcontrast.preparation.session import LEFT_OUT, Dropped, Entry, Remark
from mrcontrast.preparation.workers import Work, Workers

Report = Callable[[str], None]
EMPTY_VAL = (
    "warning: the validation split is empty for {} subjects; raise recipe.split.val or add "
    "subjects. Another split of a finished data set takes seconds: its sessions are kept"
)


@dataclass(frozen=True)
class Prepared:
    """Result of a run of a recipe."""

    manifest: Manifest
    dropped: list[Dropped]
    remarks: list[Remark]
    reused: int  # sessions that an earlier run had finished
    unchanged: bool  # whether the folder is as it was before the run
    changed_sides: list[str]  # subjects that were on another side of the split


def prepare_dataset(
    recipe: Recipe, out: Path | str, recipe_text: str, workers: int | Workers, report: Report
) -> Prepared:
    """Run a recipe and put the data set at ``out``, whole or not at all.

    Finished sessions of an interrupted run and of an earlier data set are reused where their raw
    files and the operators are the same.

    Args:
        recipe: The recipe.
        out: Folder of the data set; replaced if the same recipe, up to its split, made it.
        recipe_text: The resolved recipe as YAML, stored with the data.
        workers: Workers, or a number of processes of this machine.
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
            done = f"{'reused' if outcome.reused else 'prepared'} {outcome.name}"
            report(dropped_line(outcome.dropped) if outcome.dropped is not None else done)
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
    """Report a session that was left out in one line."""
    return f"dropped {item.name} by {item.operator}: {item.reason}"


def _compared(recipe: Recipe, outcomes: list[Outcome], stage: Path, report: Report) -> Compared:
    """Compare all sessions with each other; write the outcomes of those that drop out."""
    if recipe.deduplicate is None:
        return Compared(outcomes)
    compared = recipe.deduplicate.compare(outcomes)
    for before, after in zip(outcomes, compared.outcomes, strict=True):
        if after.dropped is not None and before.dropped is None:
            report(dropped_line(after.dropped))
            whole = read_outcome(after.name, stage) or after
            write_outcome(replace(whole, record=None, dropped=after.dropped), stage)
    return compared


def check_split(
    recipe: Recipe, entries: Sequence[Entry], dropped: Sequence[Dropped], earlier: Sequence[Path]
) -> dict[str, str]:
    """Assign a side to each subject that was found, before any of them is prepared.

    A split that fails for all subjects, with MrcontrastError, may succeed for those that the
    ``earlier`` runs, finished or not, have not dropped.
    """

    def sides(entries: Sequence[Entry], dropped: Sequence[Dropped]) -> dict[str, str]:
        sites = {entry.subject: entry.site for entry in entries}
        gone = {item.subject for item in dropped} - set(sites)
        return recipe.split.assign(sorted(sites), gone, sites)

    try:
        return sides(entries, dropped)
    except MrcontrastError:
        outcomes = [[read_outcome(entry.name, root) for root in earlier] for entry in entries]
        known = [next(filter(None, found), None) for found in outcomes]
        gone = [outcome.dropped if outcome else None for outcome in known]
        left = [entry for entry, fault in zip(entries, gone, strict=True) if not fault]
        if len(left) in (0, len(entries)):
            raise
        return sides(left, [*dropped, *filter(None, gone)])


def with_splits(
    recipe: Recipe,
    records: list[Record],
    dropped: list[Dropped],
    person_of: Mapping[str, str] = MappingProxyType({}),
) -> list[Record]:
    """Assign to each record the side of its person, who may have several subject names."""
    if not records:
        first = dropped[0].reason if dropped else "none"
        raise MrcontrastError(
            f"Expected at least one good pair, got {len(dropped)} faulty; the first: {first}"
        )
    subjects = sorted({record.subject for record in records})
    first_of = {person_of.get(subject, subject): subject for subject in reversed(subjects)}
    stands_for = {subject: first_of[person_of.get(subject, subject)] for subject in subjects}
    names = sorted(first_of.values())
    gone = {*(item.subject for item in dropped), *subjects} - set(names)
    sites = {record.subject: record.site for record in records if record.subject in names}
    sides = recipe.split.assign(names, gone, sites)
    return [replace(record, split=sides[stands_for[record.subject]]) for record in records]


def changed_sides(manifest: Manifest, out: Path) -> list[str]:
    """Return the subjects that are on another side of the split in an earlier data set."""
    earlier = {row.get("subject"): row.get("split") for row in manifest_rows(out)}
    pairs = {(record.subject, record.split) for record in manifest.records}
    return sorted(subject for subject, side in pairs if earlier.get(subject, side) != side)
