"""Which sessions a person should look at first, and by which number."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mrcontrast.preparation.outcome import Outcome
from mrcontrast.preparation.session import LEFT_OUT

MAD_TO_SD = 1.4826
FAR_SDS = 3.5  # from the median: the limit for outliers of Iglewicz and Hoaglin 1993
FEWEST = 5  # sessions, for a median to mean something
BINS = 20
STATE = (
    "shape",
    "orientation",
    "origin_mm",
    "min",
    "max",
    "mean",
    "p1",
    "p50",
    "p99",
    "mask_voxels",
)


@dataclass(frozen=True)
class Suspicion:
    """How far a session stands out.

    Attributes:
        score: 1 is the limit; higher is more suspicious.
        reason: The measure that decides, in words.
    """

    score: float
    reason: str


@dataclass(frozen=True)
class Histogram:
    """One measure over all sessions.

    Attributes:
        measure: Its name.
        low: Left edge of the first bin.
        high: Right edge of the last bin.
        kept: Sessions that stayed, by bin.
        dropped: Sessions that were dropped, by bin.
    """

    measure: str
    low: float
    high: float
    kept: list[int]
    dropped: list[int]


def measured(outcome: Outcome) -> dict[str, float]:
    """Return the numbers that operators have measured of a session, also of a dropped one."""
    found = {}
    for change in outcome.changes:
        if change.measure.partition("_")[2] in STATE:
            continue
        if isinstance(change.after, int | float):
            found[change.measure] = float(change.after)
    if outcome.dropped is not None and isinstance(outcome.dropped.value, int | float):
        found[str(outcome.dropped.measure)] = float(outcome.dropped.value)
    return found


def suspicions(outcomes: Sequence[Outcome]) -> dict[str, Suspicion]:
    """Return the suspicion of each session, by its measures against those of the others.

    The distance from the median in robust standard deviations counts, over 3.5; a measure that ends
    with "_suspicion" has its limit at 1 already and counts as it is.
    """
    values = {outcome.name: measured(outcome) for outcome in outcomes}
    scales = {name: _scale(name, values) for name in _names(values)}
    found = {}
    for session, own in values.items():
        best = Suspicion(0.0, "")
        for measure, value in own.items():
            score = value if measure.endswith("_suspicion") else 0.0
            if (scale := scales[measure]) is not None:
                score = max(score, abs(value - scale[0]) / scale[1] / FAR_SDS)
            if score > best.score:
                best = Suspicion(score, f"{measure} {value:.4g}")
        found[session] = best
    return found


def histograms(outcomes: Sequence[Outcome]) -> list[Histogram]:
    """Return the histogram of each measure that differs between sessions."""
    values = {outcome.name: measured(outcome) for outcome in outcomes}
    dropped = {outcome.name for outcome in outcomes if outcome.dropped is not None}
    found = []
    for measure in _names(values):
        every = {name: own[measure] for name, own in values.items() if measure in own}
        low, high = min(every.values()), max(every.values())
        if high > low:
            kept = [value for name, value in every.items() if name not in dropped]
            left = [value for name, value in every.items() if name in dropped]
            counts = [np.histogram(part, BINS, (low, high))[0].tolist() for part in (kept, left)]
            found.append(Histogram(measure, low, high, *counts))
    return found


def in_order(outcomes: Sequence[Outcome], found: Mapping[str, Suspicion]) -> list[Outcome]:
    """Return the sessions that were wanted: dropped ones first, then the most suspicious."""
    wanted = [o for o in outcomes if o.dropped is None or o.dropped.kind != LEFT_OUT]
    return sorted(wanted, key=lambda o: (o.dropped is None, -found[o.name].score, o.name))


def _names(values: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return the measures that any session has, in the order in which they were made."""
    return list(dict.fromkeys(name for own in values.values() for name in own))


def _scale(measure: str, values: Mapping[str, Mapping[str, float]]) -> tuple[float, float] | None:
    """Return median and robust standard deviation of a measure; None for too few sessions."""
    every = np.array([own[measure] for own in values.values() if measure in own])
    if len(every) < FEWEST:
        return None
    median = float(np.median(every))
    spread = MAD_TO_SD * float(np.median(np.abs(every - median)))
    return median, max(spread, 0.02 * abs(median), 1e-6)  # equal values must not divide by 0
