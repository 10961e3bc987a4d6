"""Several volumes, from files to files: one at fault does not stop the others."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, TimeElapsedColumn

from mrcontrast import __version__
from mrcontrast.config import logs
from mrcontrast.data.contrasts import title_of
from mrcontrast.data.predictions import Existing, PredictionFiles
from mrcontrast.errors import MrcontrastError, UsageError, one_line, printable
from mrcontrast.imaging.header import geometry_remarks
from mrcontrast.inference.prompting import text_of
from mrcontrast.inference.stage_translator import StageTranslator
from mrcontrast.inference.translation import Translation
from mrcontrast.inference.translation_jobs import Job, check_collisions
from mrcontrast.storage.files import sha256_file
from mrcontrast.storage.nifti import check_present
from mrcontrast.storage.volume import MAP, Volume, read_mask, read_volume, same_grid

log = logging.getLogger(__name__)
UNITS = "arbitrary, [0, 1]: normalised like the {} images of the training data"


@dataclass
class Outcome:
    """What became of some jobs, by name."""

    written: dict[str, float] = field(default_factory=dict)  # seconds of a translation
    kept: list[str] = field(default_factory=list)  # finished before
    failed: dict[str, str] = field(default_factory=dict)  # one-line message
    remarks: dict[str, list[str]] = field(default_factory=dict)


def translate_files(
    jobs: Sequence[Job], translator: StageTranslator, existing: Existing
) -> Outcome:
    """Translate volumes one after the other; one at fault does not stop the others.

    Raises:
        UsageError: An output would replace an input, another output or a file that is not ours, or
            it exists and may not be replaced.
    """
    check_collisions(jobs)
    outcome = Outcome()
    due = []
    for job in jobs:
        with faults_kept(job, outcome):
            if job.refusal is not None:
                raise MrcontrastError(job.refusal)
            facts = facts_of(job, translator)
            if PredictionFiles(job.output).needed(facts, existing):
                due.append((job, facts))
            else:
                outcome.kept.append(job.name)
    with bar(translator, len(due)) as done:
        for job, facts in due:
            with faults_kept(job, outcome):
                result = translate_job(job, translator)
                made = facts | made_by(job, translator, result)
                found = result.brain if job.strip_skull else None
                files, place = PredictionFiles(job.output), job.stands_for or job.source
                files.write(result.mean, result.std, made, place, found)
                outcome.written[job.name] = result.seconds
                outcome.remarks[job.name] = list(result.remarks)
            done(job.name)
    return outcome


def translate_job(job: Job, translator: StageTranslator) -> Translation:
    """Read and translate one volume; the remarks on its geometry come first."""
    remarks = [] if job.prepared else geometry_remarks(job.stands_for or job.source)
    names = job.given(translator.reads)
    first, *others = volumes = [
        read_volume(path, translator.reads[name] == MAP, nan=not job.prepared)
        for name, path in zip(names, job.sources, strict=True)
    ]
    for volume, path in zip(others, job.sources[1:], strict=True):
        same_grid(first, volume, job.source, path)
    mask = brain_of(job, first)
    if job.stands_for is not None:
        affine = read_volume(job.stands_for).affine
        volumes = [replace(volume, affine=affine) for volume in volumes]
    by_name = dict(zip(names, volumes, strict=True))
    given = [by_name.get(name) for name in translator.source]
    if job.prepared:
        assert mask is not None
        result = translator.translate_prepared(given, mask, job.seed, job.scanned_slices, job.tags)
    else:
        result = translator.translate(given, mask, job.seed, job.tags)
    brain = result.brain if mask is None else mask
    return replace(result, remarks=(*remarks, *result.remarks), brain=brain)


def made_by(job: Job, translator: StageTranslator, result: Translation) -> dict[str, Any]:
    """Return the entries of a sidecar on how a volume was made, in addition to ``facts_of``."""
    return {
        "IntensityUnits": UNITS.format(title_of(translator.target)),
        "Sources": [str(path) for path in (*job.sources, job.mask) if path is not None],
        "SourceContrasts": list(job.given(translator.reads)),
        "TargetContrast": translator.target,
        "BrainMask": mask_source(job),
        "Normaliser": result.normaliser,
        "TileUsed": result.tiles,
        "Seconds": round(result.seconds, 3),
        "Cost": result.cost,
        "GeneratedBy": [{"Name": "mrcontrast", "Version": __version__}],
        **({"Remarks": list(result.remarks)} if result.remarks else {}),
    }


def brain_of(job: Job, volume: Volume) -> np.ndarray | None:
    """Return the brain, (X, Y, Z) bool; None leaves it to the translator to find."""
    if job.mask is not None:
        mask = read_mask(job.mask, volume, job.source)
        if not mask.any():
            raise MrcontrastError(
                f"Expected a brain mask with voxels above 0.5, got none ({job.mask}). "
                "Check the mask."
            )
        return mask
    if not job.strip_skull:
        return None
    from mrcontrast.imaging.skull_strip import strip_skull

    return strip_skull(replace(volume, data=np.nan_to_num(volume.data, nan=0.0)))


def mask_source(job: Job) -> str:
    """Return on one line where the brain comes from."""
    if job.mask is not None:
        return str(job.mask)
    return "deepbet" if job.strip_skull else "largest non-zero component"


def facts_of(job: Job, translator: StageTranslator) -> dict[str, Any]:
    """Return what decides the voxels of an output: model, options, seed and sources."""
    given = job.given(translator.reads)
    missing = [name for name in translator.source if name not in given]
    hashes = [hash_of(path) for path in job.sources]
    tags = translator.tags_for(job.tags)
    return {
        **translator.describe(),
        **({"Prompt": text_of(tags)} if tags else {}),
        "Seed": job.seed,
        "SourceSHA256": hashes if len(hashes) > 1 else hashes[0],
        **({"MissingSources": missing} if missing else {}),
        "BrainMaskSHA256": None if job.mask is None else hash_of(job.mask),
        **({"SkullStripped": "deepbet"} if job.strip_skull else {}),
        "PreparedSource": job.prepared,
    }


def hash_of(path: Path) -> str:
    """Return the SHA-256 of a file; raise MrcontrastError if it cannot be read."""
    check_present(path, "a NIfTI file")
    try:
        return sha256_file(path)
    except OSError as error:
        raise MrcontrastError(
            f"Expected a file that can be read, got {error.strerror} ({path}). Check the path."
        ) from error


@contextmanager
def faults_kept(job: Job, outcome: Outcome) -> Iterator[None]:
    """Keep the fault of one job, with its file, and go on, also where memory runs out."""
    try:
        yield
    except UsageError:
        raise
    except Exception as error:
        log.debug("%s", job.name, exc_info=True)
        ours = isinstance(error, MrcontrastError)
        text = one_line(error) if ours else f"{type(error).__name__}: {one_line(error)}"
        known = any(str(path) in text for path in (*job.inputs, job.output))
        outcome.failed[job.name] = text if known else f"{text} ({job.source})"


@contextmanager
def bar(translator: StageTranslator, total: int) -> Iterator[Callable[[str], None]]:
    """Show progress over all volumes, as a bar or as lines; yield what is called after each."""
    columns = (*Progress.get_default_columns(), TimeElapsedColumn())
    before = translator.progress
    console = Console(stderr=True)
    hidden = not console.is_terminal
    lines = logs.Progress("translated", total)
    with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
        task = progress.add_task("translate", total=total)
        finished = 0

        def show(part: float, name: str | None = None) -> None:
            text = None if name is None else escape(printable(name))
            progress.update(task, completed=finished + part, description=text)
            if hidden:
                lines.update(finished + part)

        def done(name: str) -> None:
            nonlocal finished
            finished += 1
            show(0, name)

        translator.progress = show
        try:
            yield done
        finally:
            translator.progress = before
