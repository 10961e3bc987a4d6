"""The quality report: one page without a network, a row of pictures for each session."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mrcontrast import __version__
from mrcontrast.pages.templates import environment
from mrcontrast.preparation.outcome import Outcome, read_outcome
from mrcontrast.preparation.session import LEFT_OUT, Dropped, Remark
from mrcontrast.storage.files import write_text

MAD_TO_SD = 1.4826
FAR_SDS = 3.5  # from the median: the limit for outliers of Iglewicz and Hoaglin 1993
FEWEST = 5  # sessions, for a median to mean something
BINS = 20
STATE = (  # of an image, in the trail; no measure of its quality
    *("shape", "orientation", "origin_mm", "min", "max", "mean", "p1", "p50", "p99"),
    "mask_voxels",
)
QUALITY = "quality.html"
MOST_ROWS = 300  # with pictures, the most suspicious; the table has all


class Suspicion(NamedTuple):
    """Distance of a session from the others: 1 is the limit, and the measure that decides."""

    score: float
    reason: str


def write_quality_page(
    root: Path,
    outcomes: Sequence[Outcome],
    dropped: Sequence[Dropped],
    remarks: Sequence[Remark],
    splits: Mapping[str, str],
) -> None:
    """Write ``quality.html`` of a data set; ``splits`` has the side of each session that stayed."""
    found = suspicions(outcomes)
    rows = []
    for number, outcome in enumerate(in_order(outcomes, found)):
        whole = read_outcome(outcome.name, root) if number < MOST_ROWS else None
        rows.append(
            {
                "name": outcome.name,
                "split": splits.get(outcome.name, ""),
                "score": found[outcome.name].score,
                "reason": found[outcome.name].reason,
                "dropped": outcome.dropped,
                "measures": {name: f"{value:.4g}" for name, value in measured(outcome).items()},
                "seconds": outcome.seconds,
                "pictures": whole.pictures if whole is not None else {},
            }
        )
    page = (
        environment("mrcontrast.preparation")
        .get_template("quality.html.j2")
        .render(
            folder=root.name.removeprefix(".").removesuffix(".partial"),
            version=__version__,
            splits=Counter(splits.values()),
            rows=rows,
            most=MOST_ROWS,
            dropped=dropped,
            remarks=remarks,
            histograms=histograms(outcomes),
        )
    )
    write_text(root / QUALITY, page)


def measured(outcome: Outcome) -> dict[str, float]:
    """Return the numbers that operators have measured, also in a dropped session."""
    found = {
        change.measure: float(change.after)
        for change in outcome.changes
        if change.measure.partition("_")[2] not in STATE and isinstance(change.after, int | float)
    }
    if outcome.dropped is not None and isinstance(outcome.dropped.value, int | float):
        found[str(outcome.dropped.measure)] = float(outcome.dropped.value)
    return found


def suspicions(outcomes: Sequence[Outcome]) -> dict[str, Suspicion]:
    """Return the suspicion of each session, by its measures against those of the others.

    It is the distance from the median in robust standard deviations, over 3.5; a measure that ends
    with "_suspicion" has its limit at 1 already.
    """
    scales = {name: _scale(list(values.values())) for name, values in _by_measure(outcomes).items()}
    found = {}
    for outcome in outcomes:
        best = Suspicion(0.0, "")
        for measure, value in measured(outcome).items():
            score = value if measure.endswith("_suspicion") else 0.0
            if (scale := scales[measure]) is not None:
                score = max(score, abs(value - scale[0]) / scale[1] / FAR_SDS)
            if score > best.score:
                best = Suspicion(score, f"{measure} {value:.4g}")
        found[outcome.name] = best
    return found


def histograms(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Return the histogram of each measure that differs between sessions, for the template."""
    left_out = {outcome.name for outcome in outcomes if outcome.dropped is not None}
    found = []
    for measure, every in _by_measure(outcomes).items():
        low, high = min(every.values()), max(every.values())
        if high > low:
            kept = [value for name, value in every.items() if name not in left_out]
            left = [value for name, value in every.items() if name in left_out]
            counts = [np.histogram(part, BINS, (low, high))[0].tolist() for part in (kept, left)]
            tallest = max(map(sum, zip(*counts, strict=True)))
            bars = [
                {"kept": k, "dropped": d, "share": k / tallest, "left_share": d / tallest}
                for k, d in zip(*counts, strict=True)
            ]
            ends = {"low": f"{low:.4g}", "high": f"{high:.4g}"}
            found.append({"measure": measure, **ends, "tallest": tallest, "bars": bars})
    return found


def in_order(outcomes: Sequence[Outcome], found: Mapping[str, Suspicion]) -> list[Outcome]:
    """Return the wanted sessions: dropped ones first, then the most suspicious."""
    wanted = [o for o in outcomes if o.dropped is None or o.dropped.kind != LEFT_OUT]
    return sorted(wanted, key=lambda o: (o.dropped is None, -found[o.name].score, o.name))


def _by_measure(outcomes: Sequence[Outcome]) -> dict[str, dict[str, float]]:
    """Return the values of all sessions by measure, in the order in which they were made."""
    found: dict[str, dict[str, float]] = {}
    for outcome in outcomes:
        for measure, value in measured(outcome).items():
            found.setdefault(measure, {})[outcome.name] = value
    return found


def _scale(values: list[float]) -> tuple[float, float] | None:
    """Return median and robust standard deviation of a measure; None for too few sessions."""
    if len(values) < FEWEST:
        return None
    median = float(np.median(values))
    spread = MAD_TO_SD * float(np.median(np.abs(np.array(values) - median)))
    return median, max(spread, 0.02 * abs(median), 1e-6)  # equal values must not divide by 0
