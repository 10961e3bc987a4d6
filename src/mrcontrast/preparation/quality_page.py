"""The quality report: one page that needs no network, a row of pictures for each session."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mrcontrast import __version__
from mrcontrast.pages.templates import environment
from mrcontrast.preparation.outcome import Outcome, read_outcome
from mrcontrast.preparation.session import Dropped, Remark
from mrcontrast.preparation.suspicion import (
    Histogram,
    Suspicion,
    histograms,
    in_order,
    measured,
    suspicions,
)
from mrcontrast.storage.files import write_text

QUALITY = "quality.html"
MOST_ROWS = 300  # with pictures, the most suspicious; all stand in the table


def write_quality_page(
    root: Path,
    outcomes: Sequence[Outcome],
    dropped: Sequence[Dropped],
    remarks: Sequence[Remark],
    splits: Mapping[str, str],
) -> Path:
    """Write ``quality.html`` of a data set.

    Args:
        root: Folder of the data set.
        outcomes: All sessions that were tried.
        dropped: All that were left out, also those that were not tried.
        remarks: What should be looked at.
        splits: Side of each session that stayed.

    Returns:
        The page.
    """
    found = suspicions(outcomes)
    rows = []
    for number, outcome in enumerate(in_order(outcomes, found)):
        whole = read_outcome(outcome.name, root) if number < MOST_ROWS else None
        pictures = whole.pictures if whole is not None else {}
        rows.append(_row(outcome, found[outcome.name], splits) | {"pictures": pictures})
    context = {
        "folder": root.name.removeprefix(".").removesuffix(".partial"),
        "version": __version__,
        "splits": Counter(splits.values()),
        "rows": rows,
        "most": MOST_ROWS,
        "dropped": dropped,
        "remarks": remarks,
        "histograms": [_drawn(histogram) for histogram in histograms(outcomes)],
    }
    template = environment("mrcontrast.preparation").get_template("quality.html.j2")
    write_text(root / QUALITY, template.render(context))
    return root / QUALITY


def _row(outcome: Outcome, suspicion: Suspicion, splits: Mapping[str, str]) -> dict[str, Any]:
    """Return what the page says of one session."""
    values = measured(outcome)
    return {
        "name": outcome.name,
        "split": splits.get(outcome.name, ""),
        "score": suspicion.score,
        "reason": suspicion.reason,
        "dropped": outcome.dropped,
        "measures": {name: f"{value:.4g}" for name, value in values.items()},
        "seconds": outcome.seconds,
    }


def _drawn(histogram: Histogram) -> dict[str, Any]:
    """Return a histogram with bars of heights in [0, 1]."""
    tallest = max(k + d for k, d in zip(histogram.kept, histogram.dropped, strict=True))
    return {
        "measure": histogram.measure,
        "low": f"{histogram.low:.4g}",
        "high": f"{histogram.high:.4g}",
        "tallest": tallest,
        "bars": [
            {"kept": kept, "dropped": left, "share": kept / tallest, "left_share": left / tallest}
            for kept, left in zip(histogram.kept, histogram.dropped, strict=True)
        ],
    }
