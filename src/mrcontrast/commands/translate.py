"""Files in, files out: one volume, a folder, a BIDS tree, or a split of a prepared data set."""

import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mrcontrast.config.arguments import check_exists
from mrcontrast.data.predictions import Existing, PredictionFiles
from mrcontrast.data.record import MANIFEST, Record
from mrcontrast.errors import MrcontrastError, UsageError, printable
from mrcontrast.inference import translation_jobs as jobs
from mrcontrast.inference.options import add_arguments, check_options, name_files, sources_of
from mrcontrast.inference.prepared_records import split_records
from mrcontrast.inference.sampling_options import UNSHUFFLED, ControlChoice, SamplingOptions
from mrcontrast.runs.released import check_runs_exist
from mrcontrast.storage.nifti import absence

__all__ = ["add_arguments", "run", "translate_records"]

if TYPE_CHECKING:
    from mrcontrast.inference.files import Outcome
    from mrcontrast.inference.stage_translator import StageTranslator


def run(args: Namespace) -> int:
    """Run ``mrcontrast translate``; return 1 if volumes of a folder are at fault, else 0."""
    check_options(args)
    options = SamplingOptions.of(vars(args))
    for path in sources_of(args):
        if args.source is not None and path.is_dir():
            raise UsageError(f"Expected a file, got a folder ({path}, --source). Name a file.")
        check_paths(path, args.output, args.overwrite)
    controls = [ControlChoice.from_text(text).run for text in args.control]
    for each in [{"--model": args.model}, *({"--control": run} for run in controls)]:
        check_runs_exist(each)
    check_exists({"--mask": args.mask})
    if args.strip_skull:
        from mrcontrast.imaging.itk import check_extra

        if args.mask is not None:
            raise UsageError(
                f"Expected --mask or --strip-skull, got both ({args.mask}). Leave one out."
            )
        check_extra("deepbet", "--strip-skull")
    from mrcontrast.inference.files import translate_files
    from mrcontrast.inference.from_run import from_run

    translator = from_run(args.model, options, args.batch_size, args.device, args.tile)
    existing = Existing.REDO if args.overwrite else Existing.REFUSE
    outcome = translate_files(find_jobs(args, translator), translator, existing)
    if (args.input is None or args.input.is_file()) and outcome.failed:
        raise MrcontrastError(next(iter(outcome.failed.values())))
    tell(outcome, args.output)
    return 1 if outcome.failed else 0


def translate_records(
    records: Sequence[Record],
    translator: "StageTranslator",
    out_dir: Path,
    shuffle_source: bool = False,
    seed: int = 0,
) -> list[Path]:
    """Translate subjects of a prepared data set into a folder; return paths in their order.

    Predictions are on the grid of the data set, in [0, 1]. Each subject has a seed of its own, made
    from ``seed`` and its name. With ``shuffle_source`` it gets the sources and mask of the next
    other subject: a model that heeds its condition must get worse.
    """
    found = jobs.record_jobs(
        records,
        translator.reads,
        translator.target,
        Path(out_dir),
        shuffle=shuffle_source,
        seed=seed,
        shuffle_tags=translator.shuffles_tags,
        optional=translator.optional,
    )
    return translate_all(found, translator)


def translate_all(given: Sequence[jobs.Job], translator: "StageTranslator") -> list[Path]:
    """Translate volumes and return their paths; raise MrcontrastError if one was at fault."""
    from mrcontrast.inference.files import translate_files

    outcome = translate_files(given, translator, Existing.REPLACE)
    if outcome.failed:
        name, message = next(iter(outcome.failed.items()))
        more = f" and {len(outcome.failed) - 1} more" if len(outcome.failed) > 1 else ""
        raise MrcontrastError(f"{name}{more}: {message}")
    return [job.output for job in given]


def find_jobs(args: Namespace, translator: "StageTranslator") -> list[jobs.Job]:
    """Return what the command line asks to translate."""
    source, target, optional = translator.reads, translator.target, translator.optional
    out, seed, strip = args.output, args.seed, args.strip_skull
    prepared = args.input is not None and (args.input / MANIFEST).is_file()
    if translator.shuffles_tags and not prepared:
        raise UsageError(UNSHUFFLED)
    if args.input is None or args.input.is_file():
        named = name_files(args, tuple(translator.source), optional)
        files = {name: path for name, path in named.items() if name in source}
        found = [jobs.file_job(files, target, out, args.mask, seed, args.any_contrast)]
    elif not prepared:
        given = (args.input, tuple(source), target, out, args.mask, seed, args.any_contrast)
        found = jobs.folder_jobs(*given, optional)
    elif args.mask is not None or strip:
        raise UsageError(
            f"Expected no {'--strip-skull' if strip else '--mask'} for a prepared data set, which "
            f"has its masks, got one ({args.input}). Leave it out."
        )
    else:
        return jobs.record_jobs(
            split_records(args.input, args.split),
            source,
            target,
            out,
            seed=seed,
            shuffle_tags=translator.shuffles_tags,
            optional=optional,
        )
    return [job.stripped() for job in found] if strip else found


def check_paths(source: Path, output: Path, overwrite: bool) -> None:
    """Check paths, before a model is loaded."""
    if not source.is_dir() and (found := absence(source)) is not None:
        raise UsageError(f"Expected a file or folder, got {found[0]} ({source}). {found[1]}.")
    if source.resolve() == output.resolve():
        raise UsageError(f"Expected OUT to be another place than IN, got {output}.")
    if source.is_file() and os.path.lexists(output) and not output.is_dir():
        PredictionFiles(output).refuse_foreign()
        if not overwrite:
            raise UsageError(
                f"Expected no file, got one ({output}). Pass --overwrite to replace it."
            )
    if source.is_dir() and (output.is_file() or output.name.endswith((".nii", ".nii.gz"))):
        raise UsageError(f"Expected a folder as OUT of a folder, got {output}.")


def tell(outcome: "Outcome", output: Path) -> None:
    """Say on one line each what became of the volumes, and the time a volume took."""
    for name, seconds in outcome.written.items():
        sys.stdout.write(printable(f"{name}: {seconds:.1f} s\n"))
    named: dict[str, list[str]] = {}
    for name, remarks in outcome.remarks.items():
        for remark in remarks:
            named.setdefault(remark, []).append(name)
    for remark, names in named.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        sys.stderr.write(printable(f"note: {names[0]}{more}: {remark}\n"))
    for name, message in outcome.failed.items():
        sys.stderr.write(printable(f"{name}: {message}\n"))
    counts = f"{len(outcome.written)} translated, {len(outcome.kept)} kept"
    mean = sum(outcome.written.values()) / max(len(outcome.written), 1)
    line = f"{counts}, {len(outcome.failed)} failed; {mean:.1f} s a volume -> {output}\n"
    sys.stdout.write(printable(line))
