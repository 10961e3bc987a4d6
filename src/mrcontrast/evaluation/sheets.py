"""The scores of a summary as plain tables, whatever they are printed as."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mrcontrast.evaluation.feature_scores import PERCEPTUAL
from mrcontrast.evaluation.metric_list import BY_NAME, REGIONS, metrics_of
from mrcontrast.metrics.intervals import MIN_SUBJECTS
from mrcontrast.metrics.metric import Metric

HEADINGS = {
    "brain": "In the brain",
    "image": "Whole image",
    "lesion": "In the lesions",
    "healthy": "In the brain outside the lesions",
    "csf": "In cerebrospinal fluid",
    "gm": "In grey matter",
    "wm": "In white matter",
}
TESTED = ("psnr", "ssim", "ms_ssim", "mae")  # and added metrics
MISSING = "n/a"
SETS_NOTE = (
    "KID and MMD: over pairs of different subjects, 0 on average for real against real; may be "
    f"below 0. Intervals: jackknife over subjects, from {MIN_SUBJECTS} on."
)
TESTS = ["First", "Second", "Metric", "n", "Difference", "r (rank-biserial)", "dz", "p", "p Holm"]
COSTS = {  # key of a summary's costs -> heading, digits
    "parameters": ("Parameters", 0),
    "network_calls": ("Calls", 0),
    "seconds_a_volume": ("s a volume", 2),
    "peak_memory_gib": ("Memory (GiB)", 2),
    "training_minutes": ("Training (min)", 1),
}
COSTS_NOTE = (
    "Calls: of the network for a slice (2D) or volume (3D), over all samples. Memory: peak of a "
    "translation, measured on CUDA and estimated elsewhere. Training: of the model and of the "
    "models that it was built on."
)


@dataclass(frozen=True)
class Sheet:
    """One table, with sentences below it and text in its first columns."""

    title: str
    columns: list[str]
    rows: list[list[str]]
    notes: tuple[str, ...] = ()
    text_columns: int = 1


def sheets_of(summary: Mapping[str, Any]) -> list[Sheet]:
    """Return the tables of scores and tests, brain first, for a summary of ``evaluate``."""
    metrics = [metric for metric in metrics_of(summary).values() if metric.in_tables]
    regions = {name for found in summary["methods"].values() for name in found}

    def sheet(title: str, region: str, per: str, perceptual: bool = False) -> Sheet:
        own = [m for m in metrics if m.per == per and (m.group == PERCEPTUAL) == perceptual]
        return _scores(summary, title, region, own)

    sheets = [
        *(sheet(HEADINGS[name], name, "region") for name in REGIONS if name in regions),
        sheet("Texture and tissue in the brain", "brain", "brain"),
        sheet("Perceptual distance in the brain", "brain", "brain", perceptual=True),
        _sets(summary),
        sheet("Contrast of the lesions to white matter", "lesion", "lesion"),
        _tests(summary),
    ]
    return [sheet for sheet in sheets if sheet.rows or sheet.notes]


def cost_sheets(summary: Mapping[str, Any]) -> list[Sheet]:
    """Return the table of costs; none if the summary, which may be a study's, has no costs."""
    if "costs" not in summary:
        return []
    rows = []
    for method in summary["methods"]:
        known = summary["costs"].get(method, {})
        cells = [
            MISSING if known.get(name) is None else f"{known[name]:,.{digits}f}"
            for name, (_, digits) in COSTS.items()
        ]
        rows.append([method, *cells])
    columns = ["Method", *(title for title, _ in COSTS.values())]
    return [Sheet("Costs", columns, rows, (COSTS_NOTE,))]


def format_statistic(statistic: Mapping[str, Any] | None, digits: int, missing: str = "∞") -> str:
    """Format a mean with its interval, as far as they are known.

    ``missing`` is the text for a mean of None.

    Example:
        >>> format_statistic({"mean": 24.314, "sd": 0.5, "ci95": (23.9, 24.7), "n": 8}, digits=2)
        '24.31 [23.90, 24.70]'
    """
    if statistic is None or statistic["mean"] is None:
        return missing
    mean = f"{statistic['mean']:.{digits}f}"
    if statistic["ci95"] is None:
        return mean
    low, high = statistic["ci95"]
    return f"{mean} [{low:.{digits}f}, {high:.{digits}f}]"


def _scores(
    summary: Mapping[str, Any], title: str, region: str, metrics: Iterable[Metric]
) -> Sheet:
    """Return methods down and metrics across, without metrics that no method has."""
    values = {
        method: regions[region]
        for method, regions in summary["methods"].items()
        if region in regions
    }
    shown = [metric for metric in metrics if any(metric.name in row for row in values.values())]
    rows = []
    for method, found in values.items():
        known = [found[metric.name] for metric in shown if metric.name in found]
        if known:
            cells = [_cell(found.get(metric.name), metric) for metric in shown]
            rows.append([method, str(known[0]["n"]), *cells])
    return Sheet(title, ["Method", "n", *(metric.heading for metric in shown)], rows)


def _cell(statistic: Mapping[str, Any] | None, metric: Metric) -> str:
    can_be_infinite = metric.per == "region" and metric.name in BY_NAME
    missing = "∞" if can_be_infinite and statistic is not None else MISSING
    return format_statistic(statistic, metric.digits, missing)


def _sets(summary: Mapping[str, Any]) -> Sheet:
    """Return the distances between all real and all synthetic images."""
    features = summary.get("features") or {"methods": {}}
    rows: list[list[str]] = []
    refusals: dict[str, None] = {}  # the same for all methods
    for method, distances in features["methods"].items():
        for distance in distances.values():
            if distance["refused"]:
                refusals[f"{distance['name']}: {distance['refused']}"] = None
            cell = {"mean": distance["value"], "ci95": distance["ci95"]}
            missing = "refused" if distance["refused"] else MISSING
            rows.append([method, distance["name"], format_statistic(cell, 5, missing)])
    notes = (SETS_NOTE, *refusals) if rows else ()
    columns = ["Method", "Distance to the real images", "Value ↓"]
    return Sheet("Feature distances of all images", columns, rows, notes, 2)


def _tests(summary: Mapping[str, Any]) -> Sheet:
    """Return the paired tests of the main metrics in the brain, or why there are none."""
    tests, metrics = summary.get("tests"), metrics_of(summary)
    added = [m.name for m in metrics.values() if m.name not in BY_NAME and m.group != PERCEPTUAL]
    if tests is None:
        return Sheet("", TESTS, [])
    rows = [
        [
            pair["first"],
            pair["second"],
            metrics[name].title,
            str(pair["n"]),
            format_statistic(pair["difference"], metrics[name].digits),
            f"{pair['rank_biserial']:.2f}",
            MISSING if pair["cohens_dz"] is None else f"{pair['cohens_dz']:.2f}",
            f"{pair['p']:.4f}",
            f"{pair['p_holm']:.4f}",
        ]
        for name in (*TESTED, *added)
        for pair in tests["pairs"]
        if (pair["region"], pair["metric"]) == ("brain", name)
    ]
    note = tests["refused"] or f"{tests['power']['words']} Tests: {tests['method']}."
    return Sheet("Paired tests in the brain", TESTS, rows, (note,), text_columns=3)
