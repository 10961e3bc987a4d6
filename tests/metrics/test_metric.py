"""The object itself: what it refuses, and what a summary says of it."""

import json
from typing import Any

import numpy as np
import pytest

from mrcontrast.errors import MrcontrastError
from mrcontrast.metrics.metric import Metric, Pair
from mrcontrast.metrics.multiscale import SimilarityPyramid

IMAGE = np.arange(12.0).reshape(3, 4)


def pair(mask: np.ndarray | None = None) -> Pair:
    return Pair(IMAGE, IMAGE + 1, mask, (0.0, 4.0), SimilarityPyramid(IMAGE, IMAGE, 4.0, 1))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"name": "My metric"}, "name of lower-case letters, digits and _, got My metric"),
        ({"name": 3}, "name of"),
        ({"better": "best"}, "better: higher, lower, a number or null, got best"),
        ({"better": True}, "better: "),
        ({"per": "slice"}, "per: region, brain, lesion, got slice"),
        ({"digits": -1}, "digits: 0 to 12"),
        ({"digits": 2.5}, "digits: 0 to 12"),
    ],
)
def test_values_out_of_range_are_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(MrcontrastError, match=words):
        Metric(**{"name": "a", "title": "A", "description": "w", "function": len, **values})


def test_a_pair_knows_its_voxels_and_is_checked() -> None:
    mask = np.eye(3, 4, dtype=bool)
    assert [voxels.tolist() for voxels in pair(mask).voxels] == [[0, 5, 10], [1, 6, 11]]
    assert pair().voxels[0].shape == (12,)
    assert pair().data_range == 4
    for wrong, words in ((mask[1:], "mask of the target's shape"), (mask & False, "empty")):
        with pytest.raises(MrcontrastError, match=words):
            pair(wrong)


def test_a_function_returns_one_number_or_none() -> None:
    def metric(value: Any) -> Metric:
        return Metric("a", "A", "w", lambda _: value)

    assert metric(np.float32(0.5))(pair()) == 0.5
    assert metric(None)(pair()) is None
    for value, kind in (("high", "str"), ([1, 2], "list"), (np.ones(3), "ndarray")):
        with pytest.raises(MrcontrastError, match=f"number from the metric a, got {kind}"):
            metric(value)(pair())


@pytest.mark.parametrize(
    ("better", "heading", "order"),
    [
        ("higher", "A (%) ↑", [2, 1, 0]),
        ("lower", "A (%) ↓", [0, 1, 2]),
        (1, "A (%) → 1", [1, 2, 0]),
        (None, "A (%)", [0, 1, 2]),
    ],
)
def test_the_better_side(better: Any, heading: str, order: list[int]) -> None:
    metric = Metric("a", "A", "w", unit="%", better=better)
    assert metric.heading == heading
    assert np.argsort(metric.badness(np.array([0.0, 1.1, 1.5]))).tolist() == order


def test_facts_are_read_back_from_a_summary() -> None:
    metric = Metric("a", "A", "w", unit="mm", better=0.5, digits=1, per="brain", details={"k": 2})
    facts = json.loads(json.dumps(metric.facts))
    assert facts["k"] == 2
    assert facts["definition"] == "w"
    again = Metric.from_facts("a", facts)
    assert again.facts == {key: value for key, value in facts.items() if key != "k"}
    assert Metric.from_facts("glow_kept", {}).heading == "glow kept"
    assert Metric.from_facts("Glow, kept", {"unit": "%"}).heading == "Glow, kept (%)"


def test_targets_limit_a_metric() -> None:
    assert Metric("a", "A", "w").holds_for("flair")
    assert not Metric("a", "A", "w", targets=("t1w", "t2w")).holds_for("flair")
    assert Metric("a", "A", "w", targets=("t1w", "t2w")).holds_for("t2w")
