"""The scores of a summary as tables, by region."""

from typing import Any

from mrcontrast.metrics.metric import Metric
from mrcontrast.report.evaluation import Evaluation
from mrcontrast.report.generic_tables import (
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
PLACED = {  # parts of a summary that have a place of their own in a page
    *("methods", "tests", "checks", "intensity_range", "normalisation", "reference_normaliser"),
    *("regions", "metrics", "statistics", "subjects", "versions", "inputs", "missing", "left_out"),
}


def region_tables(evaluation: Evaluation) -> dict[str, list[Table]]:
    """Return the tables of each region: methods down, metrics across."""
    methods = evaluation.summary["methods"]
    regions = list(dict.fromkeys(name for found in methods.values() for name in found))
    return {region: _region_tables(evaluation, region) for region in regions}


def other_tables(evaluation: Evaluation, name: str) -> list[Table]:
    """Return one part of the summary, such as "tests", as tables, however it is nested."""
    return nested_tables(evaluation.summary.get(name), "")


def further_tables(evaluation: Evaluation) -> list[Table]:
    """Return the parts of the summary that have no place of their own in a page."""
    return [
        table
        for name, part in evaluation.summary.items()
        if name not in PLACED
        for table in nested_tables(part, words(name))
    ]


def _region_tables(evaluation: Evaluation, region: str) -> list[Table]:
    """Return the tables of one region, of a few metrics each."""
    values = [regions.get(region, {}) for regions in evaluation.summary["methods"].values()]
    names = dict.fromkeys(name for found in values for name in found)
    zero = [name for name in names if all(_is_zero(found.get(name)) for found in values)]
    shown = [evaluation.metric(name) for name in names if name not in zero]
    meaning = evaluation.summary.get("regions", {}).get(region, "")
    titles = ", ".join(evaluation.metric(name).title.lower() for name in zero)
    note = "; ".join(filter(None, (meaning, f"{titles}: 0 for all" if zero else "")))
    title = HEADINGS.get(region, words(region)[:1].upper() + words(region)[1:])
    return [
        _metrics_table(evaluation, region, metrics, title + more, note if i == 0 else "")
        for i, (more, metrics) in enumerate(_grouped(shown) or [("", [])])
    ]


def _grouped(metrics: list[Metric]) -> list[tuple[str, list[Metric]]]:
    """Return groups of at most ``MAX_COLUMNS`` metrics, each with an ending for its title."""
    groups: dict[str, list[Metric]] = {}
    for metric in metrics:
        groups.setdefault(metric.group, []).append(metric)
    found = []
    for title, own in groups.items():
        for i in range(0, len(own), MAX_COLUMNS):
            part = f" ({i // MAX_COLUMNS + 1})" if len(own) > MAX_COLUMNS else ""
            found.append(((f": {title}" if title else "") + part, own[i : i + MAX_COLUMNS]))
    return found


def _metrics_table(
    evaluation: Evaluation, region: str, metrics: list[Metric], title: str, note: str
) -> Table:
    """Return one table: mean and interval of some metrics in one region."""
    rows = []
    for method, regions in evaluation.summary["methods"].items():
        values = [regions.get(region, {}).get(metric.name) for metric in metrics]
        counts = [item["n"] for item in values if isinstance(item, dict) and "n" in item]
        cells = [_cell(*pair) for pair in zip(metrics, values, strict=True)]
        n = format_cell(max(counts, default=None))
        rows.append([Cell(method, is_number=False), n, *cells])
    return Table(title, ["Method", "n", *(metric.heading for metric in metrics)], rows, note)


def _cell(metric: Metric, value: Any) -> Cell:  # noqa: ANN401
    """Return mean and interval of one metric, or any other value."""
    if not isinstance(value, dict) or not {"mean", "ci95"} <= value.keys():
        return format_cell(value)
    if value["mean"] is None:
        return format_cell(None) if value.get("n") == 0 else Cell(INFINITE)
    ends = [f"{end:.{metric.digits}f}" for end in value["ci95"] or ()]
    interval = signed(f"[{', '.join(ends)}]") if ends else ""
    return Cell(signed(f"{value['mean']:.{metric.digits}f}"), detail=interval)


def _is_zero(value: Any) -> bool:  # noqa: ANN401
    """Return whether a value is absent or has a mean of 0."""
    return value is None or (isinstance(value, dict) and value.get("mean") == 0)
