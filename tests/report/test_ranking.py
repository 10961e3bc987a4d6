from pathlib import Path

import pytest

from mrcontrast.evaluation.statistics import Row
from mrcontrast.report.evaluation import Evaluation, rank


def evaluation(values: dict[str, float | None]) -> Evaluation:
    rows = [
        Row(name, name, "ours", "brain", 9, 0, 1, {} if v is None else {"psnr": v, "mae": v})
        for name, v in values.items()
    ]
    return Evaluation(Path(), {"methods": {"ours": {}}}, rows)


def test_worst_and_best_come_in_turn() -> None:
    found = rank(evaluation({"a": 3, "b": 1, "c": 2, "d": 5, "e": 4}), "ours", "psnr", "brain")
    assert found.names == ["b", "c", "a", "e", "d"]
    assert (found.worst, found.best) == (["b", "c", "a"], ["d", "e"])
    assert found.in_turn == ["b", "d", "c", "e", "a"]


def test_an_error_is_worst_where_it_is_largest() -> None:
    assert rank(evaluation({"a": 3, "b": 1}), "ours", "mae", "brain").names == ["a", "b"]


def test_what_has_an_ideal_value_is_worst_farthest_from_it() -> None:
    rows = [
        Row(name, name, "ours", "brain", 9, 0, 1, {"sharpness": value})
        for name, value in {"soft": 0.6, "right": 0.99, "sharp": 1.3, "noisy": 1.5}.items()
    ]
    found = rank(Evaluation(Path(), {"methods": {"ours": {}}}, rows), "ours", "sharpness", "brain")
    assert found.names == ["noisy", "soft", "sharp", "right"]


@pytest.mark.parametrize("values", [{"a": 1.0}, {"a": None, "b": 2.0}, {"a": None}])
def test_each_session_comes_once_even_without_a_value(values: dict[str, float | None]) -> None:
    found = rank(evaluation(values), "ours", "psnr", "brain")
    assert sorted(found.in_turn) == sorted(values)
    assert found.names[-1] == "a"
