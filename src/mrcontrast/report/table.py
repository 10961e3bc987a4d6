"""The summary of an evaluation as tables: methods down, metrics across, brain first."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group
from rich.table import Table

from mrcontrast.metrics.definitions import METRICS

HEADINGS = {"brain": "In the brain", "image": "Whole image"}
COSTS = {  # key of a summary's costs -> heading, digits
    "parameters": ("Parameters", 0),
    "network_calls": ("Calls", 0),
    "seconds_a_volume": ("s a volume", 2),
    "peak_memory_gib": ("Memory (GiB)", 2),
    "training_minutes": ("Training (min)", 1),
}
COST_NOTE = (
    "Calls: of the network for a slice (2D) or volume (3D), all draws together. Memory: peak of a "
    "translation, measured on CUDA and estimated elsewhere. Training: of the model and all that it "
    "was built on."
)
CAPTION = "mean over subjects [95 % bootstrap interval]"


def to_rich(summary: Mapping[str, Any]) -> Group:
    """Return one table a region, and one of costs if they are known, to print with ``rich``.

    Args:
        summary: As ``mrcontrast.evaluate.evaluate`` returns it.
    """
    titles = ["n", *(definition.heading for definition in METRICS.values())]
    tables = [
        _table(heading, caption(summary), titles, _body(summary, region))
        for region, heading in HEADINGS.items()
    ]
    if "costs" in summary:
        rows = [[method, *_costs(summary, method)] for method in summary["methods"]]
        tables.append(_table("Costs", COST_NOTE, _cost_titles(summary), rows))
    return Group(*tables)


def to_markdown(summary: Mapping[str, Any]) -> str:
    """Return the tables as Markdown, with the intensity range and the missing subjects below.

    Costs, if they are known, stand beside the figures of the brain.

    Args:
        summary: As ``mrcontrast.evaluate.evaluate`` returns it.
    """
    lines = []
    for region, heading in HEADINGS.items():
        titles = ["Method", "n", *(definition.heading for definition in METRICS.values())]
        rows = _body(summary, region)
        if region == "brain":
            titles += _cost_titles(summary)
            rows = [[*cells, *_costs(summary, cells[0])] for cells in rows]
        lines += [f"## {heading}", "", _line(titles), _line(["---"] + ["---:"] * (len(titles) - 1))]
        lines += [*map(_line, rows), ""]
    return "\n".join([*lines, *_notes(summary)]) + "\n"


def caption(summary: Mapping[str, Any]) -> str:
    """Say what the figures are, and what the references were normalised with if they were."""
    normaliser = summary.get("reference_normaliser")
    return CAPTION if normaliser is None else f"{CAPTION}; references normalised by {normaliser}"


def format_statistic(statistic: Mapping[str, Any], digits: int) -> str:
    """Format one figure with its interval, as far as they are known.

    Example:
        >>> format_statistic({"mean": 24.314, "sd": 0.5, "ci95": (23.9, 24.7), "n": 8}, digits=2)
        '24.31 [23.90, 24.70]'
    """
    if statistic["mean"] is None:
        return "∞"
    mean = f"{statistic['mean']:.{digits}f}"
    if statistic["ci95"] is None:
        return mean
    low, high = statistic["ci95"]
    return f"{mean} [{low:.{digits}f}, {high:.{digits}f}]"


def format_cost(value: float | None, digits: int) -> str:
    """Format a cost; thousands are set apart.

    >>> format_cost(1926209, 0), format_cost(0.25, 2), format_cost(None, 1)
    ('1,926,209', '0.25', 'n/a')
    """
    return "n/a" if value is None else f"{value:,.{digits}f}"


def _cost_titles(summary: Mapping[str, Any]) -> list[str]:
    return [title for title, _ in COSTS.values()] if "costs" in summary else []


def _costs(summary: Mapping[str, Any], method: str) -> list[str]:
    """Return the cells of a method's costs; none if the summary tells no costs."""
    if "costs" not in summary:
        return []
    known = summary["costs"].get(method, {})
    return [format_cost(known.get(name), digits) for name, (_, digits) in COSTS.items()]


def _table(title: str, below: str, titles: list[str], rows: list[list[str]]) -> Table:
    """Return a table whose first column is the method."""
    table = Table(title=title, title_justify="left", caption_justify="left")
    table.caption = below
    table.add_column("Method", no_wrap=True)
    for heading in titles:
        table.add_column(heading, justify="right")
    for cells in rows:
        table.add_row(*cells)
    return table


def _body(summary: Mapping[str, Any], region: str) -> list[list[str]]:
    """Return the cells of one region, one list a method."""
    rows = []
    for method, regions in summary["methods"].items():
        figures = regions[region]
        cells = [format_statistic(figures[name], METRICS[name].digits) for name in METRICS]
        rows.append([method, str(figures["psnr"]["n"]), *cells])
    return rows


def _notes(summary: Mapping[str, Any]) -> list[str]:
    """Return what a reader must know beside the figures."""
    intensity = summary["intensity_range"]
    ends, text = f"{intensity['low']} to {intensity['high']}", caption(summary)
    notes = [
        f"{text[0].upper()}{text[1:]}. Intensity range {ends}; "
        f"normalisation: {summary['normalisation']}. Masks: {summary['inputs']['masks']}."
    ]
    notes += [COST_NOTE] if "costs" in summary else []
    for method, lists in summary["missing"].items():
        for kind, names in lists.items():
            if names:
                notes.append(f"- {method}, {kind.replace('_', ' ')}: {', '.join(names)}")
    return notes


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
