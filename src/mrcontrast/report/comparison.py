"""From the sessions of an evaluation to its tables; all are scored in one intensity range."""

import multiprocessing
import platform
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, TypeVar

from mrcontrast.errors import UsageError
from mrcontrast.metrics.bootstrap import CONFIDENCE, RESAMPLES
from mrcontrast.metrics.definitions import REGIONS, describe_metrics
from mrcontrast.metrics.intensity import FixedRange, IntensityRange, ReferenceRange, is_unit
from mrcontrast.report.collection import Collection
from mrcontrast.report.scoring import Row, Survey, score_case, summarise_rows, survey_case, to_csv
from mrcontrast.report.table import to_markdown
from mrcontrast.transforms.normalise import PercentileNormaliser
from mrcontrast.volume import write_json, write_text

RangeChoice = tuple[float, float] | Literal["reference"] | None
Item = TypeVar("Item")
Result = TypeVar("Result")

PACKAGES = ("mrcontrast", "numpy", "scipy", "nibabel")
SEED = 0  # of the bootstrap


def compare(
    found: Collection,
    inputs: dict[str, Any],
    out: Path,
    intensity_range: RangeChoice = None,
    normaliser: PercentileNormaliser | None = None,
    num_workers: int = 0,
) -> dict[str, Any]:
    """Score all predictions of a collection; write subjects.csv and summary.{json,md}.

    Args:
        found: Sessions with their files.
        inputs: Where the files come from, in words, for the summary.
        out: Folder of the results.
        intensity_range: See ``choose_range``.
        normaliser: Brings each raw reference to [0, 1] in its mask, and to 0 outside; None takes
            the references as they are stored.
        num_workers: Processes; 0 works in this one.

    Returns:
        What summary.json holds.

    Raises:
        UsageError: The intensity range has to be given.
        MrcontrastError: A file is unreadable or not on one grid with the others.
    """
    surveys = _map(partial(survey_case, normaliser=normaliser), found.cases, num_workers)
    rule = choose_range(intensity_range, surveys)
    num_scales = min(survey.num_scales for survey in surveys)
    score = partial(score_case, rule=rule, num_scales=num_scales, normaliser=normaliser)
    rows = [row for case_rows in _map(score, found.cases, num_workers) for row in case_rows]
    summary = summarise_all(rows, rule, normaliser, num_scales)
    summary |= {"inputs": inputs, "missing": found.missing}
    write_text(out / "subjects.csv", to_csv(rows))
    write_text(out / "summary.md", to_markdown(summary))
    write_json(out / "summary.json", summary)
    return summary


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
    rows: list[Row],
    rule: IntensityRange,
    normaliser: PercentileNormaliser | None,
    num_scales: int,
) -> dict[str, Any]:
    """Return the statistics and all that is needed to read them."""
    intensity = rule.describe()
    if normaliser is not None:
        intensity["normalisation"] = describe_normaliser(normaliser)
    return {
        "methods": summarise_rows(rows, SEED),
        "intensity_range": intensity,
        "normalisation": intensity["normalisation"],
        "reference_normaliser": None if normaliser is None else normaliser.name,
        "regions": REGIONS,
        "metrics": describe_metrics(num_scales, intensity["data_range"]),
        "statistics": {
            "unit": "subject; several sessions of one are averaged first",
            "sd": "n - 1; null for one subject",
            "ci95": "percentile bootstrap of the mean; null for one subject",
            "mean": "null when a subject's value is infinite (PSNR of equal images)",
            "confidence": CONFIDENCE,
            "resamples": RESAMPLES,
            "seed": SEED,
        },
        "subjects": sorted({row.name for row in rows}),
        "versions": {name: version(name) for name in PACKAGES}
        | {"python": platform.python_version()},
    }


def describe_normaliser(normaliser: PercentileNormaliser) -> str:
    """Return in words what becomes of each reference."""
    return (
        f"{normaliser.name} of each reference over its mask: clipped to [0, 1], 0 outside the "
        "mask; predictions as stored"
    )


def _map(work: Callable[[Item], Result], items: list[Item], num_workers: int) -> list[Result]:
    """Apply ``work`` to each item in order, in this process or in several."""
    if num_workers < 1:
        return [work(item) for item in items]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(num_workers, len(items)), mp_context=context) as pool:
        return list(pool.map(work, items))
