"""Which points are asked for."""

from pathlib import Path

import pytest

from mrcontrast.errors import UsageError
from mrcontrast.sweeps.jobs import Job
from mrcontrast.sweeps.plan import parse
from mrcontrast.sweeps.search import Grid, OptunaSearch, Point

optuna = pytest.importorskip("optuna")


def points_of(search: Grid | OptunaSearch) -> list[Point]:
    return list(iter(search.ask, None))


def random_search(n_trials: int, *dimensions: str, known: list[Job] | None = None) -> OptunaSearch:
    search = OptunaSearch(optuna.samplers.RandomSampler(seed=0), n_trials)
    search.open(parse(dimensions), "min", known or [])
    return search


def job_of(point: Point, state: str, score: float | None = None) -> Job:
    job = Job(Path("x"), "train", [], dict(point.varied), {}, searched=dict(point.searched))
    job.state, job.score = state, score
    return job


def test_a_grid_has_each_combination_once() -> None:
    grid = Grid()
    grid.open(parse(["a=1,2", "b=range(0,3)"]), "min", [])
    assert grid.size == 6
    pairs = [tuple(point.varied.values()) for point in points_of(grid)]
    assert pairs == [("1", "0"), ("1", "1"), ("1", "2"), ("2", "0"), ("2", "1"), ("2", "2")]


def test_a_grid_without_dimensions_is_one_job() -> None:
    grid = Grid()
    grid.open([], "min", [])
    assert [dict(point.varied) for point in points_of(grid)] == [{}]


def test_a_grid_refuses_an_interval() -> None:
    with pytest.raises(UsageError, match="add hydra/sweeper=optuna"):
        Grid().open(parse(["a=interval(0,1)"]), "min", [])


def test_spaces_are_those_of_hydra() -> None:
    search = random_search(
        30, "lr=tag(log,interval(1e-5,1e-2))", "n=int(interval(1,3))", "stage=a,b"
    )
    points = points_of(search)
    assert len({repr(point) for point in points}) == 30
    rates = [point.searched["lr"] for point in points]
    assert min(rates) < 1e-4
    assert 1e-3 < max(rates) <= 1e-2
    assert {point.varied["n"] for point in points} == {"1", "2", "3"}
    assert {point.varied["stage"] for point in points} == {"a", "b"}


def test_a_point_is_never_asked_for_twice() -> None:
    assert len(points_of(random_search(10, "a=1,2,3"))) == 3


def test_scores_lead_the_search() -> None:
    search = OptunaSearch(optuna.samplers.TPESampler(seed=0), 40)
    search.open(parse(["x=interval(-10,10)"]), "min", [])
    distances = []
    while (point := search.ask()) is not None:
        distances.append(abs(point.searched["x"] - 9.0))
        search.tell(point, distances[-1] ** 2)
    assert sum(distances[-10:]) < sum(distances[:10]) / 2


def test_a_search_goes_on_where_it_was_killed() -> None:
    first = random_search(6, "x=interval(0,1)")
    begun = [first.ask() for _ in range(4)]
    assert None not in begun
    known = [job_of(point, "finished", 0.5) for point in begun[:2] if point]
    known += [job_of(point, "failed") for point in begun[2:3] if point]
    known += [job_of(point, "running") for point in begun[3:] if point]
    again = random_search(6, "x=interval(0,1)", known=known)
    points = points_of(again)
    assert points[0] == begun[3]  # what had begun comes first
    assert len(points) == 3
    assert not {repr(point) for point in points[1:]} & {repr(point) for point in begun}
    for point in points:
        again.tell(point, 0.1)
    assert len(again.study.trials) == 6


def test_nothing_to_search_is_a_fault_of_usage() -> None:
    with pytest.raises(UsageError, match="Expected a key to search"):
        random_search(3)


@pytest.mark.parametrize(
    "searched", [{"x": 5.0}, {"x": "0.5,y=1"}, {"x": None}, {"y": 0.5}, "x", 5]
)
def test_a_job_from_elsewhere_adds_no_override(searched: object) -> None:
    point = Point({"stage._target_": "os.system", "x": "0.5"}, {"x": 0.5})
    known = [job_of(point, "stopped"), job_of(point, "stopped")]
    known[1].searched = searched  # type: ignore[assignment]
    points = points_of(random_search(3, "x=interval(0,1)", known=known))
    assert points[0].varied == {"x": "0.5"}
    assert all(set(point.varied) == {"x"} for point in points)
    assert all(0 <= point.searched["x"] <= 1 for point in points)
