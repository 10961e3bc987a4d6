"""The tests table of an evaluation, from rows whose figures are chosen."""

import json

import numpy as np
import pytest

from mrcontrast.evaluation.metric_list import METRICS
from mrcontrast.evaluation.paired_tests import compare_methods, power_note
from mrcontrast.evaluation.statistics import Row


def rows_of(n: int, methods: dict[str, float], noise: float = 0.3) -> list[Row]:
    """Subjects whose PSNR is 20 plus a method's gain, and whose sharpness is the gain."""
    rng = np.random.default_rng(0)
    rows = []
    for index in range(n):
        for method, gain in methods.items():
            psnr = 20 + index + gain + noise * rng.standard_normal()
            scores = {"mae": 1 / psnr, "psnr": psnr, "sharpness": gain, "gm_ml_real": 500.0}
            name = f"sub-{index:02d}"
            rows.append(Row(name, name, method, "brain", 10, 0.0, 1.0, scores))
    return rows


def pair_of(found: dict, first: str, second: str, metric: str) -> dict:
    keys = (first, second, metric)
    return next(p for p in found["pairs"] if (p["first"], p["second"], p["metric"]) == keys)


def test_a_method_that_is_better_is_found_so() -> None:
    found = compare_methods(rows_of(10, {"a": 0.0, "b": 2.0, "c": 2.0}), METRICS)
    assert found["refused"] is None
    assert len([p for p in found["pairs"] if p["metric"] == "psnr"]) == 3
    worse = pair_of(found, "a", "b", "psnr")
    assert worse["better"] == "second"
    assert worse["p_holm"] == pytest.approx(3 * 2 / 2**10)
    assert worse["rank_biserial"] == -1
    assert worse["difference"]["ci95"][1] < 0
    assert pair_of(found, "a", "b", "mae")["better"] == "second"
    assert pair_of(found, "b", "c", "psnr")["p_holm"] > 0.05
    json.dumps(found, allow_nan=False)


def test_an_ideal_value_is_approached_from_both_sides() -> None:
    found = compare_methods(rows_of(6, {"soft": 0.6, "sharp": 1.1}), METRICS)
    pair = pair_of(found, "soft", "sharp", "sharpness")
    assert pair["better"] == "second"
    assert pair["difference"]["mean"] == pytest.approx(0.4 - 0.1)


def test_what_only_describes_is_not_tested() -> None:
    found = compare_methods(rows_of(6, {"a": 0.0, "b": 1.0}), METRICS)
    assert {p["metric"] for p in found["pairs"]} == {"mae", "psnr", "sharpness"}


def test_shuffled_methods_are_no_rivals() -> None:
    found = compare_methods(rows_of(6, {"a": 0.0, "a_shuffled": -5.0, "b": 1.0}), METRICS)
    assert {(p["first"], p["second"]) for p in found["pairs"]} == {("a", "b")}


def test_too_few_subjects_or_methods_are_refused_in_words() -> None:
    few = compare_methods(rows_of(4, {"a": 0.0, "b": 1.0}), METRICS)
    assert few["refused"].startswith("Expected at least 5 subjects for a paired test, got 4.")
    assert (few["pairs"], few["power"]) == ([], None)
    one = compare_methods(rows_of(9, {"a": 0.0, "a_shuffled": 1.0}), METRICS)
    assert "two methods" in one["refused"]


def test_an_infinite_figure_is_not_tested() -> None:
    rows = rows_of(6, {"a": 0.0, "b": 1.0})
    rows[0].scores["psnr"] = np.inf
    assert {p["metric"] for p in compare_methods(rows, METRICS)["pairs"]} == {"mae", "sharpness"}


def test_the_power_note_says_what_cannot_be() -> None:
    hopeless = power_note(5, 3)
    assert hopeless["detectable_dz"] is None
    assert "no effect, however large" in hopeless["words"]
    able = power_note(20, 3)
    assert 0.6 < able["detectable_dz"] < 1.2
    assert power_note(40, 3)["detectable_dz"] < able["detectable_dz"]
