"""From the sessions of an evaluation to its tables; all are scored in one intensity range."""

import platform
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mrcontrast.errors import UsageError
from mrcontrast.metrics.bootstrap import CONFIDENCE, RESAMPLES
from mrcontrast.metrics.definitions import REGIONS
from mrcontrast.metrics.descriptions import describe_metrics, describe_structure
from mrcontrast.metrics.intensity import FixedRange, IntensityRange, ReferenceRange, is_unit
from mrcontrast.report.collection import Collection
from mrcontrast.report.paired_tests import compare_methods
from mrcontrast.report.parallel import map_in_order
from mrcontrast.report.protocol import Protocol, RangeChoice
from mrcontrast.report.scoring import Survey, score_case, survey_case
from mrcontrast.report.statistics import Row, summarise_rows, to_csv
from mrcontrast.report.table import to_markdown
from mrcontrast.segmentation.tissue_classes import METHOD
from mrcontrast.transforms.normalise import PercentileNormaliser
from mrcontrast.volume import write_json, write_text

PACKAGES = ("mrcontrast", "numpy", "scipy", "scikit-learn", "nibabel")
SEED = 0  # of the bootstrap


def compare(
    found: Collection, inputs: dict[str, Any], out: Path, protocol: Protocol
) -> dict[str, Any]:
    """Score all predictions of a collection; write subjects.csv and summary.{json,md}.

    Args:
        found: Sessions with their files.
        inputs: Where the files come from, in words, for the summary.
        out: Folder of the results.
        protocol: How they are scored.

    Returns:
        What summary.json holds.

    Raises:
        UsageError: The intensity range has to be given.
        MrcontrastError: A file is unreadable or not on one grid with the others.
    """
    name, workers = protocol.reference_normaliser, protocol.num_workers
    normaliser = None if name is None else PercentileNormaliser.from_name(name)
    surveys = list(map_in_order(partial(survey_case, normaliser=normaliser), found.cases, workers))
    rule = choose_range(protocol.intensity_range, surveys)
    num_scales = min(survey.num_scales for survey in surveys)
    score = partial(score_case, rule=rule, num_scales=num_scales, normaliser=normaliser)
    rows = [row for part in map_in_order(score, found.cases, workers) for row in part]
    summary = summarise_all(rows, rule, normaliser, num_scales)
    summary |= {"inputs": inputs | {"lesion_masks": found.lesion_source}, "missing": found.missing}
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
    intensity, present = rule.describe(), {row.region for row in rows}
    if normaliser is not None:
        intensity["normalisation"] = describe_normaliser(normaliser)
    return {
        "methods": summarise_rows(rows, SEED),
        "intensity_range": intensity,
        "normalisation": intensity["normalisation"],
        "reference_normaliser": None if normaliser is None else normaliser.name,
        "tests": compare_methods(rows, SEED),
        "regions": {name: words for name, words in REGIONS.items() if name in present},
        "metrics": describe_metrics(num_scales, intensity["data_range"])
        | describe_structure(METHOD),
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
