"""The geometry of the page's plots, in the units of the drawing; templates draw them as SVG."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from matplotlib.ticker import MaxNLocator

from mrcontrast.metrics.intervals import MIN_SUBJECTS
from mrcontrast.report.agreement import Agreement
from mrcontrast.report.generic_tables import signed

WHISKER = 1.5  # quartile distances
BOX_WIDTH, BOX_ROW, BOX_MARGIN = 440, 46, 12
SQUARE, SQUARE_TOP, SQUARE_LEFT, SQUARE_RIGHT, SQUARE_BOTTOM = (320, 235), 10, 66, 56, 38
PADDING = 0.06  # of the range of the data, at either end of an axis
NUM_TICKS, MAX_DIGITS = 6, 12
ROUNDING = 1e-9  # of the values; differences below it are none


class Tick(NamedTuple):
    """A mark of an axis, or a line across it: where, and its text."""

    place: float
    text: str


class Point(NamedTuple):
    """One subject in a plot: where, and what a pointer on it says."""

    x: float
    y: float
    text: str


class Box(NamedTuple):
    """Quartiles and ends of the whiskers, as places along the axis."""

    low: float
    first: float
    third: float
    high: float


class BoxRow(NamedTuple):
    """One method of a box plot, around height y; no box for fewer than five subjects."""

    method: str
    colour: int
    y: float
    points: list[Point]
    median: float
    box: Box | None


class BoxPlot(NamedTuple):
    """One metric of all methods: a row a method, the axis at the bottom."""

    title: str
    description: str
    width: float
    height: float
    ticks: list[Tick]
    rows: list[BoxRow]


class AgreementPlot(NamedTuple):
    """One Bland-Altman plot: mean to the right, difference up, lines at bias and limits."""

    title: str
    description: str
    colour: int
    width: float
    height: float
    area: tuple[float, float, float, float]  # left, top, right and bottom of the axes
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    points: list[Point]
    zero: float
    lines: list[Tick]


def box_plot(heading: str, values: Mapping[str, Mapping[str, float]], digits: int) -> BoxPlot:
    """Lay out one metric, by method and subject, with the decimals of its texts."""
    every = np.concatenate([list(subjects.values()) for subjects in values.values()])
    place, ticks = _axis(every, BOX_MARGIN, BOX_WIDTH - BOX_MARGIN)
    rows, medians = [], []
    for number, (method, subjects) in enumerate(values.items()):
        y = number * BOX_ROW + 0.68 * BOX_ROW
        points = [
            Point(place(value), y + _jitter(i), f"{name}: {value:.{digits}f}")
            for i, (name, value) in enumerate(subjects.items())
        ]
        found = np.array(list(subjects.values()))
        median = float(np.median(found))
        rows.append(BoxRow(method, number, y, points, place(median), _box(found, place)))
        medians.append(f"{method} {median:.{digits}f} (n = {len(subjects)})")
    height = len(rows) * BOX_ROW + 34
    return BoxPlot(heading, f"Medians: {', '.join(medians)}.", BOX_WIDTH, height, ticks, rows)


def agreement_plot(agreement: Agreement, colour: int) -> AgreementPlot:
    """Lay out one Bland-Altman plot."""
    right, bottom = SQUARE[0] - SQUARE_RIGHT, SQUARE[1] - SQUARE_BOTTOM
    means = np.array([(pair.real + pair.synthetic) / 2 for pair in agreement.pairs])
    heights = {"bias": agreement.bias}
    if agreement.limits is not None:
        heights |= {"−1.96 SD": agreement.limits[0], "+1.96 SD": agreement.limits[1]}
    x, x_ticks = _axis(means, SQUARE_LEFT, right)
    y, y_ticks = _axis(np.array([0, *agreement.differences, *heights.values()]), bottom, SQUARE_TOP)
    points = [
        Point(
            x(mean),
            y(change),
            f"{pair.subject}: real {pair.real:.4g}, synthetic {pair.synthetic:.4g}",
        )
        for pair, mean, change in zip(agreement.pairs, means, agreement.differences, strict=True)
    ]
    lines = [Tick(y(value), f"{name} {_short(value)}") for name, value in heights.items()]
    said = "; ".join(line.text for line in lines)
    return AgreementPlot(
        agreement.quantity,
        f"Synthetic minus real against their mean, {len(points)} subjects: {said}.",
        colour,
        *SQUARE,
        (SQUARE_LEFT, SQUARE_TOP, right, bottom),
        x_ticks,
        y_ticks,
        points,
        y(0.0),
        lines,
    )


def _axis(
    values: np.ndarray, start: float, end: float
) -> tuple[Callable[[float], float], list[Tick]]:
    """Return the map from values to places between ``start`` and ``end``, and round ticks."""
    low, high = float(np.min(values)), float(np.max(values))
    size = max(abs(low), abs(high))
    spread = high - low if high - low > ROUNDING * size else 0.0
    margin = PADDING * spread or 0.1 * size or 1.0
    low, high = low - margin, high + margin

    def place(value: float) -> float:
        return round(start + (end - start) * (value - low) / (high - low), 1)

    found = MaxNLocator(NUM_TICKS, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    marks = [float(value) for value in found if low <= value <= high]
    digits = _digits(marks)
    # Adding 0 turns -0 into 0.
    return place, [Tick(place(v), signed(f"{round(v, digits) + 0.0:.{digits}f}")) for v in marks]


def _digits(marks: list[float]) -> int:
    """Return the fewest decimals that tell evenly spaced marks apart and keep their values."""
    step = marks[1] - marks[0] if len(marks) > 1 else abs(marks[0]) or 1.0
    for digits in range(MAX_DIGITS):
        if all(abs(round(mark, digits) - mark) < 1e-6 * step for mark in marks):
            return digits
    return MAX_DIGITS


def _short(value: float) -> str:
    """Return a signed number in few places, never with an exponent where it is large."""
    return signed(f"{value:+.0f}" if abs(value) >= 100 else f"{value:+.2g}")


def _box(values: np.ndarray, place: Callable[[float], float]) -> Box | None:
    """Return quartiles, and whiskers to the last value within 1.5 quartile distances."""
    if len(values) < MIN_SUBJECTS:
        return None
    first, third = np.percentile(values, [25, 75])
    reach = WHISKER * (third - first)
    inner = values[(values >= first - reach) & (values <= third + reach)]
    return Box(*(place(float(v)) for v in (inner.min(), first, third, inner.max())))


def _jitter(number: int) -> float:
    """Return a small shift that parts points of one row; the same at each call."""
    return 4.0 * ((number * 0.618) % 1 - 0.5)
