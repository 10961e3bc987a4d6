"""Several volumes, from files to files: one at fault does not stop the others."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress, TimeElapsedColumn

from mrcontrast import __version__, logs
from mrcontrast.data.predictions import Existing, PredictionFiles
from mrcontrast.data.translation_jobs import Job
from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.files import sha256_file
from mrcontrast.translator.stage_translator import Translator
from mrcontrast.volume import Volume, read_mask, read_volume


@dataclass
class Outcome:
    """What became of some jobs, by name.

    Attributes:
        written: Seconds that each translation took, reading and writing left out.
        kept: Finished before, by the same model and options.
        failed: Message of each fault, on one line.
    """

    written: dict[str, float] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def translate_files(jobs: Sequence[Job], translator: Translator, existing: Existing) -> Outcome:
    """Translate volumes one after the other; one at fault does not stop the others.

    Args:
        jobs: What to translate.
        translator: What translates; its ``progress`` is used while it works.
        existing: What to do with outputs that are there.

    Raises:
        UsageError: Two jobs have one output, or an output exists and may not be replaced.
    """
    refuse_collisions(jobs)
    outcome = Outcome()
    due = []
    for job in jobs:
        with faults_kept(job, outcome):
            facts = facts_of(job, translator)
            if PredictionFiles(job.output).needed(facts, existing):
                due.append((job, facts))
            else:
                outcome.kept.append(job.name)
    with bar(translator, len(due)) as done:
        for job, facts in due:
            with faults_kept(job, outcome):
                outcome.written[job.name] = translate_one(job, translator, facts)
            done(job.name)
    return outcome


def translate_one(job: Job, translator: Translator, facts: dict[str, Any]) -> float:
    """Read, translate and write one volume.

    Returns:
        Seconds that the translation took, reading and writing left out.
    """
    volume = read_volume(job.source)
    mask = brain_of(job, volume)
    if job.stands_for is not None:
        volume = replace(volume, affine=read_volume(job.stands_for).affine)
    if job.prepared:
        assert mask is not None
        result = translator.translate_prepared(volume, mask, job.seed)
    else:
        result = translator.translate(volume, mask, job.seed)
    made = {
        "Sources": [str(path) for path in (job.source, job.mask) if path is not None],
        "BrainMask": mask_source(job),
        "Normaliser": result.normaliser,
        "TileUsed": result.tiles,
        "Seconds": round(result.seconds, 3),
        "Cost": result.cost,
        "GeneratedBy": [{"Name": "mrcontrast", "Version": __version__}],
    }
    PredictionFiles(job.output).write(
        result.mean, result.std, facts | made, job.stands_for or job.source
    )
    return result.seconds


def brain_of(job: Job, volume: Volume) -> np.ndarray | None:
    """Return the brain, (X, Y, Z) bool; None leaves it to the translator to find.

    Raises:
        MrcontrastError: The mask does not fit, or no brain is found.
    """
    if job.mask is not None:
        return read_mask(job.mask, volume, job.source)
    if not job.strip_skull:
        return None
    from mrcontrast.imaging.skull_strip import strip_skull

    return strip_skull(volume)


def mask_source(job: Job) -> str:
    """Return on one line where the brain comes from."""
    if job.mask is not None:
        return str(job.mask)
    return "deepbet" if job.strip_skull else "largest non-zero component"


def facts_of(job: Job, translator: Translator) -> dict[str, Any]:
    """Return what decides the voxels of an output: model, options, seed and sources.

    Raises:
        MrcontrastError: A source cannot be read.
    """
    hashes = []
    for path in (job.source, job.mask):
        try:
            hashes.append(None if path is None else sha256_file(path))
        except OSError as error:
            raise MrcontrastError(
                f"Expected a file that can be read, got {error.strerror} ({path}). Check the path."
            ) from error
    return {
        **translator.describe(),
        "Seed": job.seed,
        "SourceSHA256": hashes[0],
        "BrainMaskSHA256": hashes[1],
        **({"SkullStripped": "deepbet"} if job.strip_skull else {}),
        "PreparedSource": job.prepared,
    }


def refuse_collisions(jobs: Sequence[Job]) -> None:
    """Refuse jobs that would write the same file.

    Raises:
        UsageError: Two do; both sources are named.
    """
    sources: dict[Path, Path] = {}
    for job in jobs:
        other = sources.setdefault(job.output, job.source)
        if other != job.source:
            raise UsageError(
                f"Expected one source of {job.output.name}, got {other} and {job.source}. "
                "Rename one of them."
            )


@contextmanager
def faults_kept(job: Job, outcome: Outcome) -> Iterator[None]:
    """Keep the fault of one job, with its file, and go on."""
    try:
        yield
    except UsageError:
        raise
    except MrcontrastError as error:
        known = str(job.source) in str(error) or str(job.output) in str(error)
        outcome.failed[job.name] = str(error) if known else f"{error} ({job.source})"


@contextmanager
def bar(translator: Translator, total: int) -> Iterator[Callable[[str], None]]:
    """Show progress over all volumes, as a bar or as lines; yield what is called after each."""
    columns = (*Progress.get_default_columns(), TimeElapsedColumn())
    before = translator.progress
    console = Console(stderr=True)
    hidden = not console.is_terminal
    lines = logs.Progress("translated", total)
    with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
        task = progress.add_task("translate", total=total)
        finished = 0

        def advance(part: float) -> None:
            progress.update(task, completed=finished + part)
            if hidden:
                lines.update(finished + part)

        def done(name: str) -> None:
            nonlocal finished
            finished += 1
            progress.update(task, completed=finished, description=name)
            if hidden:
                lines.update(finished)

        translator.progress = advance
        try:
            yield done
        finally:
            translator.progress = before
