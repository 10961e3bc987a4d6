"""Compare synthetic volumes of any system with real ones: one table a subject, one summary."""

import multiprocessing
import platform
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, TypeVar

from mrcontrast.data.manifest import MANIFEST, Manifest
from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.metrics.bootstrap import CONFIDENCE, RESAMPLES
from mrcontrast.metrics.definitions import REGIONS, describe_metrics
from mrcontrast.metrics.intensity import FixedRange, IntensityRange, ReferenceRange, is_unit
from mrcontrast.report.collection import collect
from mrcontrast.report.scoring import Row, Survey, score_case, summarise_rows, survey_case, to_csv
from mrcontrast.report.table import to_markdown, to_rich
from mrcontrast.volume import write_json, write_text

RangeChoice = tuple[float, float] | Literal["reference"] | None
Item = TypeVar("Item")
Result = TypeVar("Result")

PACKAGES = ("mrcontrast", "numpy", "scipy", "nibabel")


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of ``mrcontrast evaluate``."""
    add = parser.add_argument
    folders = "folder of synthetic volumes; several as NAME=DIR, each with the name of its method"
    add("--predictions", nargs="+", required=True, metavar="[NAME=]DIR", help=folders)
    references = "folder of real volumes: flat, BIDS, or a prepared data set"
    add("--references", type=Path, required=True, metavar="DIR", help=references)
    masks = "brain masks; default: those beside the references, else non-zero voxels"
    add("--masks", type=Path, metavar="DIR", help=masks)
    add("--method", metavar="NAME", help="name of the only folder of predictions")
    add("--out", type=Path, default=Path("evaluation"), metavar="DIR", help="(%(default)s)")
    limits = "intensity range LO HI, or 'reference'; default: 0 1 if all references lie in it"
    add("--range", nargs="+", metavar="LIMIT", help=limits)
    add("--allow-missing", action="store_true", help="go on without subjects that lack a volume")
    add("--workers", type=int, default=0, help="processes (%(default)s: this one)")


def run(args: Namespace) -> int:
    """Run ``mrcontrast evaluate`` and print its tables.

    Returns:
        Exit code 0.
    """
    from rich.console import Console

    predictions = name_predictions(args.predictions, args.method)
    limits = read_range(args.range)
    summary = evaluate(
        predictions, args.references, args.out, args.masks, limits, args.allow_missing, args.workers
    )
    console = Console(highlight=False)
    console.print(to_rich(summary))
    console.print(f"{args.out}/summary.json, summary.md and subjects.csv", markup=False)
    return 0


def evaluate(
    predictions: Mapping[str, Path],
    references: Path,
    out: Path,
    masks: Path | None = None,
    intensity_range: RangeChoice = None,
    allow_missing: bool = False,
    num_workers: int = 0,
    seed: int = 0,
) -> dict[str, Any]:
    """Score the predictions of one or several methods; write subjects.csv and summary.{json,md}.

    Args:
        predictions: Folder of synthetic volumes, by name of the method.
        references: Folder of real volumes: flat, BIDS, or a prepared data set, of which the splits
            that hold a prediction are taken.
        out: Folder of the results.
        masks: Folder of brain masks; else those beside the references, else non-zero voxels.
        intensity_range: (low, high), or "reference" for each reference's own percentiles; None
            takes (0, 1) if all references lie in it.
        allow_missing: Go on when a subject lacks its prediction or its reference.
        num_workers: Processes; 0 works in this one.
        seed: Seed of the bootstrap.

    Returns:
        What summary.json holds.

    Raises:
        UsageError: The intensity range has to be given.
        MrcontrastError: Files are missing, ambiguous, unreadable or not on one grid.
    """
    references, out = Path(references), Path(out)
    splits = _splits_of(references)
    found = collect(predictions, references, masks, allow_missing, splits)
    surveys = _map(survey_case, found.cases, num_workers)
    rule = choose_range(intensity_range, surveys)
    num_scales = min(survey.num_scales for survey in surveys)
    scored = _map(partial(score_case, rule=rule, num_scales=num_scales), found.cases, num_workers)
    rows = [row for case_rows in scored for row in case_rows]
    inputs = {
        "predictions": {name: str(folder) for name, folder in predictions.items()},
        "references": str(references),
        "masks": found.mask_source,
        "splits": sorted({splits[case.name] for case in found.cases}) if splits else None,
    }
    summary = summarise_all(rows, rule, num_scales, seed)
    summary |= {"inputs": inputs, "missing": found.missing}
    write_text(out / "subjects.csv", to_csv(rows))
    write_text(out / "summary.md", to_markdown(summary))
    write_json(out / "summary.json", summary)
    return summary


def name_predictions(values: list[str], method: str | None = None) -> dict[str, Path]:
    """Read what follows ``--predictions``: one folder, or several as NAME=DIR.

    Args:
        values: As typed.
        method: Name of the only folder, from ``--method``; its own name when None.

    Raises:
        UsageError: Several folders without names, a name twice, or a name given in two ways.

    Example:
        >>> sorted(name_predictions(["lookup=a", "controlnet=b"]))
        ['controlnet', 'lookup']
    """
    if len(values) == 1 and "=" not in values[0]:
        folder = Path(values[0])
        return {method or folder.resolve().name: folder}
    named = dict(value.split("=", 1) for value in values if "=" in value)
    if method or len(named) < len(values) or "" in named or "" in named.values():
        raise UsageError(
            f"Expected NAME=DIR with a name of its own for each of several predictions and no "
            f"--method, got {' '.join(values)} (--predictions)."
        )
    return {name: Path(folder) for name, folder in named.items()}


def read_range(values: list[str] | None) -> RangeChoice:
    """Read what follows ``--range``: LO HI, or the word reference.

    Raises:
        UsageError: It is neither, or LO is not below HI.

    Example:
        >>> read_range(["0", "255"])
        (0.0, 255.0)
    """
    if values is None:
        return None
    if values == ["reference"]:
        return "reference"
    try:
        low, high = map(float, values)
        FixedRange(low, high)
    except (ValueError, MrcontrastError) as error:
        raise UsageError(
            f"Expected LO HI with LO < HI, or reference, got {' '.join(values)} (--range)."
        ) from error
    return low, high


def choose_range(choice: RangeChoice, surveys: list[Survey]) -> IntensityRange:
    """Return the rule of the intensity range; without a choice [0, 1] if all references are in it.

    Raises:
        UsageError: No choice, and a reference goes beyond [0, 1].
    """
    if choice == "reference":
        return ReferenceRange()
    if choice is not None:
        return FixedRange(*choice)
    for survey in surveys:
        if not is_unit(survey.low, survey.high):
            raise UsageError(
                f"Expected references in [0, 1], got values from {survey.low:g} to "
                f"{survey.high:g} ({survey.name}). Give --range LO HI, or --range reference."
            )
    return FixedRange(0.0, 1.0)


def summarise_all(
    rows: list[Row], rule: IntensityRange, num_scales: int, seed: int
) -> dict[str, Any]:
    """Return the statistics and all that is needed to read them."""
    intensity = rule.describe()
    return {
        "methods": summarise_rows(rows, seed),
        "intensity_range": intensity,
        "normalisation": intensity["normalisation"],
        "regions": REGIONS,
        "metrics": describe_metrics(num_scales, intensity["data_range"]),
        "statistics": {
            "unit": "subject; several sessions of one are averaged first",
            "sd": "n - 1; null for one subject",
            "ci95": "percentile bootstrap of the mean; null for one subject",
            "mean": "null when a subject's value is infinite (PSNR of equal images)",
            "confidence": CONFIDENCE,
            "resamples": RESAMPLES,
            "seed": seed,
        },
        "subjects": sorted({row.name for row in rows}),
        "versions": {name: version(name) for name in PACKAGES}
        | {"python": platform.python_version()},
    }


def _splits_of(references: Path) -> dict[str, str]:
    """Return the split of each session of a prepared data set; nothing for another folder."""
    if not (references / MANIFEST).is_file():
        return {}
    return {record.name: record.split for record in Manifest.read(references).records}


def _map(work: Callable[[Item], Result], items: list[Item], num_workers: int) -> list[Result]:
    """Apply ``work`` to each item in order, in this process or in several."""
    if num_workers < 1:
        return [work(item) for item in items]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(num_workers, len(items)), mp_context=context) as pool:
        return list(pool.map(work, items))
