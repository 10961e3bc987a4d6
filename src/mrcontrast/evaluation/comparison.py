"""From the sessions of an evaluation to its tables; all are scored in one intensity range."""

import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from mrcontrast.config.logs import counted
from mrcontrast.data.contrasts import title_of
from mrcontrast.data.predictions import read_sidecar
from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.evaluation import condition
from mrcontrast.evaluation.checks import check_ceiling, check_uncertainty
from mrcontrast.evaluation.collection import Collection
from mrcontrast.evaluation.diversity import measure_diversity
from mrcontrast.evaluation.feature_scores import FeatureScorer, compare_sets
from mrcontrast.evaluation.metric_list import METRICS, REGIONS, describe
from mrcontrast.evaluation.neighbours import store_training, summarise_nearest
from mrcontrast.evaluation.paired_tests import compare_methods
from mrcontrast.evaluation.pairing import Case
from mrcontrast.evaluation.protocol import Protocol, RangeChoice
from mrcontrast.evaluation.reference import Survey, survey_case
from mrcontrast.evaluation.scoring import CaseResult, Scorer
from mrcontrast.evaluation.statistics import FIXED_COLUMNS, Row, summarise_rows, to_csv
from mrcontrast.evaluation.table import FORMATS, to_markdown
from mrcontrast.metrics.intensity import FixedRange, IntensityRange, ReferenceRange, is_unit
from mrcontrast.metrics.intervals import CONFIDENCE, MIN_SUBJECTS
from mrcontrast.metrics.intervals import METHOD as INTERVAL
from mrcontrast.metrics.metric import Metric
from mrcontrast.storage.files import write_json, write_text
from mrcontrast.storage.parallel import Workers
from mrcontrast.transforms.standardise import normaliser_from_name

PACKAGES = ("mrcontrast", "numpy", "scipy", "scikit-image", "nibabel")
RESULTS = ("subjects.csv", "summary.json", "summary.md")
SIGNS = {"subjects.csv": ",".join(FIXED_COLUMNS), "summary.json": '"reference_normaliser"'}
STATISTICS = {
    "unit": "subject; several sessions of one are averaged first",
    "sd": "n - 1; null for one subject",
    "ci95": f"interval of the mean: {INTERVAL}",
    "mean": "null when a subject's value is infinite (PSNR of equal images)",
    "confidence": CONFIDENCE,
    "min_subjects": MIN_SUBJECTS,
}
Item = TypeVar("Item")


def compare(
    found: Collection, inputs: Mapping[str, Any], out: Path, protocol: Protocol
) -> dict[str, Any]:
    """Score all predictions of a collection; write subjects.csv and summary.{json,md} to ``out``.

    ``inputs`` are the sources of the files, for the summary.

    Raises:
        UsageError: The intensity range has to be given.
        MrcontrastError: A file is unreadable or not on one grid with the others, or ``out`` holds
            other files under the names of the results.
    """
    check_out(out)
    with TemporaryDirectory(prefix="mrcontrast-") as folder, Workers(protocol.num_workers) as pool:
        scorer = choose_scorer(found.cases, protocol, pool)
        if found.training:
            scorer = replace(scorer, training=store_training(found.training, Path(folder), pool))
        results = list(counted(pool.map(scorer, found.cases), "scored", len(found.cases)))
        rows = [row for result in results for row in result.rows]
        metrics = (*scorer.metrics, *([scorer.features.metric] if scorer.features else []))
        for name in RESULTS[1:]:  # an earlier summary, of other rows
            (out / name).unlink(missing_ok=True)
        write_text(out / "subjects.csv", to_csv(rows, metrics))  # before the work on all at once
        diversity = measure_diversity(found.cases, scorer, pool)
    summary = summarise_all(rows, scorer, metrics) | {
        "left_out": left_out(protocol),
        "checks": check_all(found, results),
        "features": compare_features(results, scorer.features),
        "diversity": diversity,
        "inputs": {
            **inputs,
            "lesion_masks": found.lesion_source,
            "doubtful_references": found.doubts,
            "files": found.files,
        },
        "missing": found.missing,
    }
    write_text(out / "summary.md", to_markdown(summary))
    write_json(out / "summary.json", summary)
    return summary


def check_out(out: Path) -> None:
    """Raise MrcontrastError if a folder has tables, which would be replaced, of something else."""
    names = dict.fromkeys((*RESULTS, *(name for name, _ in FORMATS.values())))
    there = [name for name in names if (out / name).exists()]
    if not there:
        return
    for name, sign in SIGNS.items():
        with suppress(OSError, UnicodeDecodeError):
            if sign in (out / name).read_text(encoding="utf-8"):
                return
    raise MrcontrastError(
        f"Expected an evaluation or no tables, got {', '.join(there)} of something else ({out}). "
        "Choose another --out, or move that away."
    )


def choose_scorer(cases: Sequence[Case], protocol: Protocol, pool: Workers) -> Scorer:
    """Read all references and return the settings for all sessions."""
    name = protocol.reference_normaliser
    normaliser = None if name is None else normaliser_from_name(name, clip=True)
    surveys = list(pool.map(partial(survey_case, normaliser=normaliser, dims=protocol.dims), cases))
    return Scorer(
        choose_range(protocol.intensity_range, surveys),
        min(survey.num_scales for survey in surveys),
        tuple(m for m in (*METRICS, *protocol.metrics) if m.holds_for(protocol.target)),
        normaliser,
        features=None if protocol.features is None else FeatureScorer(protocol.features),
        dims=protocol.dims,
        target=protocol.target,
    )


def choose_range(choice: RangeChoice, surveys: Sequence[Survey]) -> IntensityRange:
    """Return the rule of the intensity range; without a choice [0, 1] if all references are in it.

    Raises:
        UsageError: No choice, and a reference is not in [0, 1].
    """
    if choice == "reference":
        return ReferenceRange()
    if choice is not None:
        return FixedRange(*choice)
    for survey in surveys:
        if not is_unit(survey.low, survey.high):
            raise UsageError(
                f"Expected references in [0, 1], got values from {survey.low:g} to "
                f"{survey.high:g} ({survey.name}). For predictions in [0, 1], as translate writes "
                "them, add --normalise-references percentile-0.5-99.5; for others in the same "
                "unit, --range LO HI or --range reference."
            )
    return FixedRange(0.0, 1.0)


def left_out(protocol: Protocol) -> list[str]:
    """Return a line on the metrics and checks that do not hold for the target."""
    metrics = (*METRICS, *protocol.metrics)
    names = [metric.name for metric in metrics if not metric.holds_for(protocol.target)]
    if protocol.target not in condition.TARGETS:
        names.append("the check of shuffled sources")
    line = f"left out, not defined for {title_of(protocol.target)}: {', '.join(names)}"
    return [line] if names else []


def compare_features(
    results: Sequence[CaseResult], features: FeatureScorer | None
) -> dict[str, Any] | None:
    """Return the distances between all real and all synthetic images; None without features."""
    if features is None:
        return None
    real = {r.name: r.real_vectors for r in results if r.real_vectors is not None}
    vectors = by_method({result.name: result.vectors for result in results})
    return compare_sets(features, real, vectors)


def check_all(found: Collection, results: Sequence[CaseResult]) -> dict[str, Any]:
    """Return the sanity checks: condition, ceiling, uncertainty and memorisation."""
    rows = [row for result in results for row in result.rows]
    sidecars = {
        method: read_sidecar(path)
        for case in found.cases
        for method, path in case.predictions.items()
    }
    ceilings = [m for m, facts in sidecars.items() if "autoencoder" in str(facts.get("Stage", m))]
    samples = {method: facts.get("Samples") for method, facts in sidecars.items()}
    swaps = by_method({result.name: result.swaps for result in results})
    calibrations = by_method({result.name: result.calibrations for result in results})
    nearest = by_method({result.name: result.nearest for result in results})
    return {
        "shuffled_source": condition.check_condition(swaps, list(sidecars)),
        "autoencoder_ceiling": check_ceiling(rows, ceilings),
        "uncertainty": check_uncertainty(calibrations, samples),
        "nearest_training": summarise_nearest(nearest) if found.training else None,
    }


def by_method(found: Mapping[str, Mapping[str, Item]]) -> dict[str, dict[str, Item]]:
    """Turn session -> method -> item into method -> session -> item.

    >>> by_method({"sub-1": {"a": 1, "b": 2}, "sub-2": {"a": 3}})
    {'a': {'sub-1': 1, 'sub-2': 3}, 'b': {'sub-1': 2}}
    """
    turned: dict[str, dict[str, Item]] = {}
    for session, methods in found.items():
        for method, item in methods.items():
            turned.setdefault(method, {})[session] = item
    return turned


def summarise_all(rows: Sequence[Row], scorer: Scorer, metrics: Sequence[Metric]) -> dict[str, Any]:
    """Return the statistics and the definitions that a reader needs."""
    normaliser, present = scorer.normaliser, {row.region for row in rows}
    intensity = scorer.rule.describe()
    if normaliser is not None:
        intensity["normalisation"] = (
            f"{normaliser.name} of each reference over its mask: clipped to [0, 1], 0 outside the "
            "mask; predictions as stored"
        )
    return {
        "methods": summarise_rows(rows),
        "intensity_range": intensity,
        "normalisation": intensity["normalisation"],
        "reference_normaliser": None if normaliser is None else normaliser.name,
        "tests": compare_methods(rows, metrics),
        "regions": {name: words for name, words in REGIONS.items() if name in present},
        "metrics": describe(metrics, scorer.num_scales, intensity["data_range"], scorer.dims),
        "statistics": STATISTICS,
        "subjects": sorted({row.name for row in rows}),
        "versions": {name: version(name) for name in PACKAGES}
        | {"python": platform.python_version()},
    }
