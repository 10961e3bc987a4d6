"""Files in, files out: one volume, a folder, a BIDS tree, or a split of a prepared data set."""

import os
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mrcontrast.config.arguments import check_exists
from mrcontrast.errors import MrcontrastError, UsageError, printable
from mrcontrast.inference.options import add_arguments, check_options, name_files, sources_of
from mrcontrast.inference.sampling_options import ControlChoice, SamplingOptions
from mrcontrast.runs.released import check_runs_exist
from mrcontrast.storage.nifti import absence

__all__ = ["add_arguments", "run", "translate_originals", "translate_records"]

if TYPE_CHECKING:
    from mrcontrast.data.predictions import Existing
    from mrcontrast.data.record import Record
    from mrcontrast.inference.files import Outcome
    from mrcontrast.inference.originals import Original
    from mrcontrast.inference.translation import Translator
    from mrcontrast.inference.translation_jobs import Job


def run(args: Namespace) -> int:
    """Run ``mrcontrast translate``.

    Returns:
        Exit code: 0, or 1 if volumes of a folder could not be translated.

    Raises:
        UsageError: An option is out of range, IN and OUT do not fit, or OUT exists and differs.
        MrcontrastError: The model or a single volume is at fault.
    """
    check_options(args)
    options = SamplingOptions.of(vars(args))
    for path in sources_of(args):
        check_paths(path, args.output, args.overwrite)
    controls = [ControlChoice.from_text(text).run for text in args.control]
    for each in [{"--model": args.model}, *({"--control": run} for run in controls)]:
        check_runs_exist(each)
    check_exists({"--mask": args.mask})
    if args.strip_skull:
        check_strip(args.mask)
    from mrcontrast.data.predictions import Existing
    from mrcontrast.inference.files import translate_files
    from mrcontrast.inference.from_run import from_run

    translator = from_run(args.model, options, args.batch_size, args.device, args.tile)
    jobs = find_jobs(args, translator)
    existing = Existing.REDO if args.overwrite else Existing.REFUSE
    outcome = translate_files(jobs, translator, existing)
    if (args.input is None or args.input.is_file()) and outcome.failed:
        raise MrcontrastError(next(iter(outcome.failed.values())))
    tell(outcome, args.output)
    return 1 if outcome.failed else 0


def translate_records(
    records: Sequence["Record"],
    translator: "Translator",
    out_dir: Path,
    shuffle_source: bool = False,
    seed: int = 0,
    existing: "Existing | None" = None,
) -> list[Path]:
    """Translate subjects of a prepared data set; predictions lie on its grid, in [0, 1].

    Args:
        records: Subjects, such as ``manifest.split("test")``.
        translator: What translates.
        out_dir: Gets ``<record.name>_desc-synth_<suffix>.nii.gz`` and sidecars.
        shuffle_source: Give each subject the sources and mask of the next other subject; a model
            that heeds its condition must get worse.
        seed: Of the noise; each subject has a seed of its own, made from this and its name.
        existing: What to do with outputs that are there; None replaces those made otherwise.

    Returns:
        The synthetic volumes, in the order of the records.

    Raises:
        UsageError: There is no other subject to take sources from.
        MrcontrastError: Subjects could not be translated, while the others are finished; or they
            were normalised otherwise than the model's training data.
    """
    from mrcontrast.inference.translation import optional_of, read_by
    from mrcontrast.inference.translation_jobs import record_jobs

    roles, shuffled = (read_by(translator), translator.target), shuffles_tags(translator)
    optional = optional_of(translator)
    jobs = record_jobs(records, *roles, Path(out_dir), shuffle_source, seed, shuffled, optional)
    return translate_all(jobs, translator, existing)


def shuffles_tags(translator: "Translator") -> bool:
    """Return whether a translator asks for the tags of other subjects."""
    sampler = getattr(translator, "sampler", None)
    return sampler is not None and sampler.options.known_tags == "shuffled"


def translate_originals(
    originals: Sequence["Original"],
    translator: "Translator",
    out_dir: Path,
    seed: int = 0,
    existing: "Existing | None" = None,
) -> list[Path]:
    """Translate the raw files of prepared subjects; predictions lie on the grids of these files.

    Args:
        originals: See ``mrcontrast.inference.originals``.
        translator: What translates.
        out_dir: Gets ``<name>_desc-synth_<suffix>.nii.gz`` and sidecars.
        seed: As ``translate_records``.
        existing: As ``translate_records``.

    Returns:
        The synthetic volumes, in the order of the originals.

    Raises:
        MrcontrastError: Subjects could not be translated, while the others are finished.
    """
    from mrcontrast.inference.translation import read_by

    roles = read_by(translator), translator.target
    jobs = [original.job(*roles, Path(out_dir), seed) for original in originals]
    return translate_all(jobs, translator, existing)


def translate_all(
    jobs: Sequence["Job"], translator: "Translator", existing: "Existing | None"
) -> list[Path]:
    """Translate volumes and return their paths.

    Raises:
        MrcontrastError: Some could not be translated, while the others are finished.
    """
    from mrcontrast.data.predictions import Existing
    from mrcontrast.inference.files import translate_files

    outcome = translate_files(jobs, translator, existing or Existing.REPLACE)
    if outcome.failed:
        name, message = next(iter(outcome.failed.items()))
        more = f" and {len(outcome.failed) - 1} more" if len(outcome.failed) > 1 else ""
        raise MrcontrastError(f"{name}{more}: {message}")
    return [job.output for job in jobs]


def find_jobs(args: Namespace, translator: "Translator") -> list["Job"]:
    """Return what the command line asks to translate.

    Raises:
        UsageError: Masks or skull stripping were asked for a prepared data set, or paths do not
            fit.
    """
    from mrcontrast.inference import translation_jobs as jobs
    from mrcontrast.inference.prepared_records import is_prepared, split_records
    from mrcontrast.inference.translation import optional_of, read_by

    source, target, optional = read_by(translator), translator.target, optional_of(translator)
    out, seed, strip = args.output, args.seed, args.strip_skull
    if args.input is None or args.input.is_file():
        named = name_files(args, tuple(translator.source), optional)
        files = {name: path for name, path in named.items() if name in source}
        found = [jobs.file_job(files, target, out, args.mask, seed, args.any_contrast)]
    elif not is_prepared(args.input):
        given = (args.input, tuple(source), target, out, args.mask, seed, args.any_contrast)
        found = jobs.folder_jobs(*given, optional)
    elif args.mask is not None or strip:
        raise UsageError(
            f"Expected no {'--strip-skull' if strip else '--mask'} for a prepared data set, which "
            f"has its masks, got one ({args.input}). Leave it out."
        )
    else:
        records = split_records(args.input, args.split)
        shuffled = args.known_tags == "shuffled"
        choices = {"seed": seed, "shuffle_tags": shuffled, "optional": optional}
        return jobs.record_jobs(records, source, target, out, **choices)
    return [job.stripped() for job in found] if strip else found


def check_strip(mask: Path | None) -> None:
    """Check that skull stripping is possible and needed.

    Raises:
        UsageError: Masks are given, or deepbet is not installed.
    """
    from mrcontrast.imaging.itk import check_extra

    if mask is not None:
        raise UsageError(f"Expected --mask or --strip-skull, got both ({mask}). Leave one out.")
    check_extra("deepbet", "--strip-skull")


def check_paths(source: Path, output: Path, overwrite: bool) -> None:
    """Check paths, before a model is loaded.

    Raises:
        UsageError: IN is not there, OUT exists, or the one is a folder and the other is not.
    """
    if not source.is_dir() and (found := absence(source)) is not None:
        raise UsageError(f"Expected a file or folder, got {found[0]} ({source}). {found[1]}.")
    if source.resolve() == output.resolve():
        raise UsageError(f"Expected OUT to be another place than IN, got {output}.")
    if source.is_file() and os.path.lexists(output) and not output.is_dir():
        from mrcontrast.data.predictions import PredictionFiles

        PredictionFiles(output).refuse_foreign()
        if not overwrite:
            raise UsageError(
                f"Expected no file, got one ({output}). Pass --overwrite to replace it."
            )
    if source.is_dir() and (output.is_file() or output.name.endswith((".nii", ".nii.gz"))):
        raise UsageError(f"Expected a folder as OUT of a folder, got {output}.")


def tell(outcome: "Outcome", output: Path) -> None:
    """Say on one line each what became of the volumes, and the time a volume took."""
    from rich.console import Console

    out = Console(highlight=False, soft_wrap=True, markup=False)
    err = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
    for name, seconds in outcome.written.items():
        out.print(printable(f"{name}: {seconds:.1f} s"))
    named: dict[str, list[str]] = {}
    for name, remarks in outcome.remarks.items():
        for remark in remarks:
            named.setdefault(remark, []).append(name)
    for remark, names in named.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        err.print(printable(f"note: {names[0]}{more}: {remark}"))
    for name, message in outcome.failed.items():
        err.print(printable(f"{name}: {message}"))
    counts = f"{len(outcome.written)} translated, {len(outcome.kept)} kept"
    mean = sum(outcome.written.values()) / max(len(outcome.written), 1)
    out.print(
        printable(f"{counts}, {len(outcome.failed)} failed; {mean:.1f} s a volume -> {output}")
    )
