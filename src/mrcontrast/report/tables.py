"""The figures of a summary as tables: those that every evaluation has, by region."""

from typing import Any

from mrcontrast.evaluation.statistics import PERCEPTUAL
from mrcontrast.metrics.definitions import LESIONS, METRICS, OUTSIDE
from mrcontrast.report.evaluation import Evaluation
from mrcontrast.report.nests import (
    INFINITE,
    Cell,
    Table,
    format_cell,
    nested_tables,
    signed,
    words,
)

HEADINGS = {"brain": "In the brain", "image": "Whole image"}
MAX_COLUMNS = 6  # of metrics; more go into a further table of the region
GROUPS = {  # title -> how the names of its metrics begin; others stand under the region's alone
    "voxels and structure": (*METRICS, OUTSIDE),
    "texture": ("histogram_w1", "gradient_w1", "sharpness", "through_plane"),
    "tissue": ("dice_", "volume_"),
    "tissue volumes": ("csf_ml", "gm_ml", "wm_ml"),
    "lesion contrast": tuple(LESIONS),
    "perceptual distance": (PERCEPTUAL,),
}
KNOWN = {
    "methods",
    "intensity_range",
    "normalisation",
    "reference_normaliser",
    "regions",
    "metrics",
    "statistics",
    "subjects",
    "versions",
    "inputs",
    "missing",
}


def region_tables(evaluation: Evaluation) -> dict[str, list[Table]]:
    """Return the tables of each region: methods down, metrics across."""
    methods = evaluation.summary["methods"]
    regions = list(dict.fromkeys(name for found in methods.values() for name in found))
    return {region: _region_tables(evaluation, region) for region in regions}


def other_tables(evaluation: Evaluation, name: str) -> list[Table]:
    """Return one part of the summary, such as "tests", as tables, however it is nested."""
    return nested_tables(evaluation.summary[name], "") if name in evaluation.summary else []


def further_tables(evaluation: Evaluation) -> list[Table]:
    """Return the parts of the summary that have no place of their own in a page."""
    names = [name for name in evaluation.summary if name not in KNOWN | {"tests", "checks"}]
    return [
        table for name in names for table in nested_tables(evaluation.summary[name], words(name))
    ]


def _region_tables(evaluation: Evaluation, region: str) -> list[Table]:
    """Return the tables of one region, of a few metrics each."""
    figures = [regions.get(region, {}) for regions in evaluation.summary["methods"].values()]
    names = dict.fromkeys(name for found in figures for name in found)
    zero = [name for name in names if all(_is_zero(found.get(name)) for found in figures)]
    shown = [name for name in names if name not in zero]
    meaning = evaluation.summary.get("regions", {}).get(region, "")
    titles = ", ".join(evaluation.definition(name).title.lower() for name in zero)
    note = "; ".join(filter(None, (meaning, f"{titles}: 0 for all" if zero else "")))
    title = HEADINGS.get(region, words(region)[:1].upper() + words(region)[1:])
    return [
        _metrics_table(evaluation, region, metrics, title + more, note if i == 0 else "")
        for i, (more, metrics) in enumerate(_grouped(shown) or [("", [])])
    ]


def _grouped(metrics: list[str]) -> list[tuple[str, list[str]]]:
    """Return groups of at most ``MAX_COLUMNS`` metrics, each with an ending for its title."""
    groups: dict[str, list[str]] = {}
    for metric in metrics:
        named = (title for title, begins in GROUPS.items() if metric.startswith(begins))
        groups.setdefault(next(named, ""), []).append(metric)
    found = []
    for title, names in groups.items():
        for i in range(0, len(names), MAX_COLUMNS):
            part = f" ({i // MAX_COLUMNS + 1})" if len(names) > MAX_COLUMNS else ""
            found.append(((f": {title}" if title else "") + part, names[i : i + MAX_COLUMNS]))
    return found


def _metrics_table(
    evaluation: Evaluation, region: str, metrics: list[str], title: str, note: str
) -> Table:
    """Return one table: mean and interval of some metrics in one region."""
    rows = []
    for method, regions in evaluation.summary["methods"].items():
        figures = [regions.get(region, {}).get(name) for name in metrics]
        counts = [item["n"] for item in figures if isinstance(item, dict) and "n" in item]
        cells = [_figure(evaluation, *pair) for pair in zip(metrics, figures, strict=True)]
        n = format_cell(max(counts, default=None))
        rows.append([Cell(method, is_number=False), n, *cells])
    return Table(title, ["Method", "n", *map(evaluation.heading, metrics)], rows, note)


def _figure(evaluation: Evaluation, metric: str, figure: Any) -> Cell:  # noqa: ANN401
    """Return mean and interval of one metric, or whatever else stands there."""
    if not isinstance(figure, dict) or not {"mean", "ci95"} <= figure.keys():
        return format_cell(figure)
    digits = evaluation.definition(metric).digits
    mean, ends = figure["mean"], figure["ci95"]
    if mean is None:
        return format_cell(None) if figure.get("n") == 0 else Cell(INFINITE)
    if ends is None:
        return Cell(signed(f"{mean:.{digits}f}"))
    low, high = ends
    interval = f"[{low:.{digits}f}, {high:.{digits}f}]"
    return Cell(signed(f"{mean:.{digits}f}"), detail=signed(interval))


def _is_zero(figure: Any) -> bool:  # noqa: ANN401
    """Whether a figure says nothing: its mean is 0, or it is not there."""
    return figure is None or (isinstance(figure, dict) and figure.get("mean") == 0)
