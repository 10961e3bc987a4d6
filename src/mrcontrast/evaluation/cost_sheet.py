"""What methods cost as a plain table."""

from collections.abc import Mapping
from typing import Any

from mrcontrast.evaluation.sheets import MISSING, Sheet

COSTS = {  # key of a summary's costs -> heading, digits
    "parameters": ("Parameters", 0),
    "network_calls": ("Calls", 0),
    "seconds_a_volume": ("s a volume", 2),
    "peak_memory_gib": ("Memory (GiB)", 2),
    "training_minutes": ("Training (min)", 1),
}
NOTE = (
    "Calls: of the network for a slice (2D) or volume (3D), all draws together. Memory: peak of a "
    "translation, measured on CUDA and estimated elsewhere. Training: of the model and all that it "
    "was built on."
)


def cost_sheets(summary: Mapping[str, Any]) -> list[Sheet]:
    """Return the table of costs; none if the summary tells no costs.

    Args:
        summary: As ``mrcontrast.commands.evaluate.evaluate`` returns it, with "costs" of a study.
    """
    if "costs" not in summary:
        return []
    rows = []
    for method in summary["methods"]:
        known = summary["costs"].get(method, {})
        cells = [format_cost(known.get(name), digits) for name, (_, digits) in COSTS.items()]
        rows.append([method, *cells])
    return [Sheet("Costs", ["Method", *(title for title, _ in COSTS.values())], rows, (NOTE,))]


def format_cost(value: float | None, digits: int) -> str:
    """Format a cost; thousands are set apart.

    >>> format_cost(1926209, 0), format_cost(0.25, 2), format_cost(None, 1)
    ('1,926,209', '0.25', 'n/a')
    """
    return MISSING if value is None else f"{value:,.{digits}f}"
