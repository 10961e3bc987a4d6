import numpy as np
import pytest

from mrcontrast.report.agreement import Agreement, Pair
from mrcontrast.report.plots import agreement_plot, box_plot


def test_boxes_stand_at_the_quartiles_and_whiskers_end_at_subjects() -> None:
    values = dict(zip("abcdef", [10.0, 11, 12, 13, 14, 40], strict=True))
    plot = box_plot("PSNR", {"ours": values, "theirs": {"a": 12.0}}, 1)
    ours, theirs = plot.rows
    x = [point.x for point in ours.points]
    scale = (x[4] - x[0]) / 4
    assert ours.box is not None
    assert ours.box.first == pytest.approx(x[0] + 1.25 * scale, abs=0.15)
    assert ours.median == pytest.approx(x[0] + 2.5 * scale, abs=0.15)
    assert ours.box.third == pytest.approx(x[0] + 3.75 * scale, abs=0.15)
    assert (ours.box.low, ours.box.high) == (x[0], x[4])  # 40 lies beyond 1.5 box lengths
    assert (theirs.box, theirs.median) == (None, x[2])
    assert ours.points[1].text == "b: 11.0"
    assert "ours 12.5 (n = 6)" in plot.description


@pytest.mark.parametrize(
    "values", [[0.5], [0.0, 0.0], [-3e-5, 2e-5, 1e-5], [1e5, 3e5], [1.0, 1.0 - 1e-16 * 2]]
)
def test_everything_lies_inside_and_ticks_are_distinct(values: list[float]) -> None:
    plot = box_plot("x", {"m": {str(i): value for i, value in enumerate(values)}}, 2)
    places = [point.x for row in plot.rows for point in row.points]
    assert all(0 <= place <= plot.width for place in places)
    assert all(np.diff([tick.place for tick in plot.ticks]) > 0)
    texts = [tick.text for tick in plot.ticks]
    assert len(set(texts)) == len(texts) >= 2


def test_differences_go_up_and_lines_stand_at_bias_and_limits() -> None:
    pairs = [Pair(str(i), i, i + d) for i, d in enumerate([0.0, 1, 2, 3, 4])]
    plot = agreement_plot(Agreement("volume (ml)", "ours", pairs), colour=1)
    y = [point.y for point in plot.points]
    assert y == sorted(y, reverse=True)
    assert plot.zero == y[0]
    bias, lower, upper = (line.place for line in plot.lines)
    assert bias == pytest.approx(y[2], abs=0.1)
    unit = (y[0] - y[4]) / 4
    assert lower - bias == pytest.approx(1.96 * 2.5**0.5 * unit, abs=0.3)
    assert bias - upper == pytest.approx(lower - bias, abs=0.2)
    left, top, right, bottom = plot.area
    assert all(left <= point.x <= right and top <= point.y <= bottom for point in plot.points)
    assert next(line.text for line in plot.lines) == "bias +2"
    few = agreement_plot(Agreement("q", "ours", pairs[:4]), colour=0)
    assert len(few.lines) == 1
