"""Each known change of the truth is caught by the measure meant to catch it, and by no other."""

import pytest
from experiments.metrics.known_answers import COPIES, SHOWN, Scores, answers, is_quiet

from mrcontrast.phantom import PhantomSubject


@pytest.fixture(scope="module")
def table(phantoms: list[PhantomSubject]) -> dict[str, Scores]:
    return answers(phantoms, size_voxels=48)


@pytest.mark.parametrize("name", [name for name in COPIES if name != "truth"])
def test_it_is_caught(table: dict[str, Scores], name: str) -> None:
    copy = COPIES[name]
    value = table[name][copy.caught_by]
    assert copy.alarm(value), (copy.caught_by, value)
    assert not copy.alarm(table["truth"][copy.caught_by])


@pytest.mark.parametrize("name", list(COPIES))
def test_measures_of_something_else_stay_quiet(table: dict[str, Scores], name: str) -> None:
    loud = {m: table[name][m] for m in COPIES[name].blind if not is_quiet(m, table[name][m])}
    assert loud == {}


@pytest.mark.parametrize("measure", list(SHOWN))
def test_every_measure_sees_some_change(table: dict[str, Scores], measure: str) -> None:
    assert any(not is_quiet(measure, scores[measure]) for scores in table.values())
