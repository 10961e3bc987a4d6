"""The summary of an evaluation as plain tables, whatever they are printed as."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mrcontrast.evaluation.statistics import PERCEPTUAL, definition_of
from mrcontrast.metrics.definitions import LESIONS, METRICS, REGIONS, STRUCTURE, Definition
from mrcontrast.metrics.intervals import MIN_SUBJECTS

HEADINGS = {
    "brain": "In the brain",
    "image": "Whole image",
    "lesion": "In the lesions",
    "healthy": "In the brain outside the lesions",
    "csf": "In cerebrospinal fluid",
    "gm": "In grey matter",
    "wm": "In white matter",
}
TESTED = ("psnr", "ssim", "ms_ssim", "mae")
MISSING = "n/a"
SETS_NOTE = (
    "KID and MMD: over pairs of different subjects, 0 on average for real against real; may be "
    f"below 0. Intervals: jackknife over subjects, from {MIN_SUBJECTS} on."
)


@dataclass(frozen=True)
class Sheet:
    """One table.

    Attributes:
        title: Heading.
        columns: Titles; the first is that of the text column.
        rows: Cells, one list a row.
        notes: What a reader must know beside the figures, sentences.
        text_columns: Columns from the left that hold words.
    """

    title: str
    columns: list[str]
    rows: list[list[str]]
    notes: tuple[str, ...] = ()
    text_columns: int = 1


def sheets_of(summary: Mapping[str, Any]) -> list[Sheet]:
    """Return the tables of a summary, brain first.

    Args:
        summary: As ``mrcontrast.commands.evaluate.evaluate`` returns it.
    """
    regions = [
        _figures(summary, HEADINGS[region], region, METRICS)
        for region in REGIONS
        if any(region in figures for figures in summary["methods"].values())
    ]
    sheets = [
        *regions,
        _figures(summary, "Texture and tissue in the brain", "brain", STRUCTURE),
        _figures(summary, "Perceptual distance in the brain", "brain", _perceptual(summary)),
        _sets(summary),
        _figures(summary, "Contrast of the lesions to white matter", "lesion", LESIONS),
        _tests(summary),
    ]
    return [sheet for sheet in sheets if sheet.rows or sheet.notes]


def format_statistic(statistic: Mapping[str, Any], digits: int, missing: str = "∞") -> str:
    """Format one figure with its interval, as far as they are known.

    Args:
        statistic: {"mean", "sd", "ci95", "n"}.
        digits: Decimals.
        missing: What stands for a mean that does not exist.

    Example:
        >>> format_statistic({"mean": 24.314, "sd": 0.5, "ci95": (23.9, 24.7), "n": 8}, digits=2)
        '24.31 [23.90, 24.70]'
    """
    if statistic["mean"] is None:
        return missing
    mean = f"{statistic['mean']:.{digits}f}"
    if statistic["ci95"] is None:
        return mean
    low, high = statistic["ci95"]
    return f"{mean} [{low:.{digits}f}, {high:.{digits}f}]"


def _figures(
    summary: Mapping[str, Any], title: str, region: str, definitions: Mapping[str, Definition]
) -> Sheet:
    """Return methods down and metrics across, those that some method has."""
    figures = {
        method: regions[region]
        for method, regions in summary["methods"].items()
        if region in regions
    }
    shown = [name for name in definitions if any(name in row for row in figures.values())]
    rows = []
    for method, found in figures.items():
        known = [name for name in shown if name in found]
        if known:
            cells = [_cell(found.get(name), definitions[name], name) for name in shown]
            rows.append([method, str(found[known[0]]["n"]), *cells])
    return Sheet(title, ["Method", "n", *(definitions[name].heading for name in shown)], rows)


def _cell(statistic: Mapping[str, Any] | None, definition: Definition, name: str) -> str:
    if statistic is None:
        return MISSING
    return format_statistic(statistic, definition.digits, "∞" if name in METRICS else MISSING)


def _perceptual(summary: Mapping[str, Any]) -> dict[str, Definition]:
    """Return the perceptual distances of a summary, by name."""
    names = (name for regions in summary["methods"].values() for name in regions["brain"])
    found = {name: definition_of(name) for name in names if name.startswith(PERCEPTUAL)}
    return {name: definition for name, definition in found.items() if definition is not None}


def _sets(summary: Mapping[str, Any]) -> Sheet:
    """Return the distances between all real and all synthetic images."""
    features = summary.get("features")
    rows: list[list[str]] = []
    refusals: dict[str, str] = {}  # the same for all methods
    for method, distances in (features or {"methods": {}})["methods"].items():
        for distance in distances.values():
            if distance["refused"]:
                refusals[f"{distance['name']}: {distance['refused']}"] = method
            cell = {"mean": distance["value"], "ci95": distance["ci95"]}
            missing = "refused" if distance["refused"] else MISSING
            rows.append([method, distance["name"], format_statistic(cell, 5, missing)])
    notes = (SETS_NOTE, *refusals) if rows else ()
    columns = ["Method", "Distance to the real images", "Value ↓"]
    return Sheet("Feature distances of all images", columns, rows, notes, 2)


def _tests(summary: Mapping[str, Any]) -> Sheet:
    """Return the paired tests of the main metrics in the brain, or why there are none."""
    tests = summary.get("tests")
    title = "Paired tests in the brain"
    columns = [
        "First",
        "Second",
        "Metric",
        "n",
        "Difference",
        "r (rank-biserial)",
        "dz",
        "p",
        "p Holm",
    ]
    if tests is None:
        return Sheet(title, columns, [])
    rows = [
        [pair["first"], pair["second"], *_test_cells(pair)]
        for metric in TESTED
        for pair in tests["pairs"]
        if (pair["region"], pair["metric"]) == ("brain", metric)
    ]
    note = tests["refused"] or f"{tests['power']['words']} Tests: {tests['method']}."
    return Sheet(title, columns, rows, (note,), text_columns=3)


def _test_cells(pair: Mapping[str, Any]) -> list[str]:
    definition = METRICS[pair["metric"]]
    return [
        definition.title,
        str(pair["n"]),
        format_statistic(pair["difference"], definition.digits),
        f"{pair['rank_biserial']:.2f}",
        MISSING if pair["cohens_dz"] is None else f"{pair['cohens_dz']:.2f}",
        f"{pair['p']:.4f}",
        f"{pair['p_holm']:.4f}",
    ]
