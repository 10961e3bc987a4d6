"""Choose the jobs of a sweep: by a grid, or by Optuna."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hydra.core.override_parser.types import Override

from mrcontrast.errors import UsageError
from mrcontrast.sweeps.jobs import FAILED, FINISHED, Job


@dataclass(frozen=True)
class Point:
    """One set of values: as typed, and as plain values for Optuna."""

    varied: Mapping[str, str]
    searched: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Text that differs between points."""
        return repr(sorted(self.varied.items()))


class Grid:
    """All combinations of the values, the last key fastest.

    Args:
        params: Override key -> values, as after ``-m``; those of the command line come first.
    """

    def __init__(self, params: Mapping[str, str] | None = None) -> None:
        self.params = dict(params or {})
        self.combinations: list[dict[str, str]] = []
        self.size = 0
        self.points: Iterator[Point] = iter(())

    def open(self, dimensions: Sequence[Override], mode: str, known: Sequence[Job]) -> None:
        """Enumerate the combinations; raise UsageError for an interval."""
        for override in dimensions:
            if not override.is_discrete_sweep():
                raise UsageError(
                    f"Expected values that can be counted, got {override.input_line}. "
                    "List them, or add hydra/sweeper=optuna."
                )
        keys = [override.get_key_element() for override in dimensions]
        rows = itertools.product(*map(values_of, dimensions))
        self.combinations = [dict(zip(keys, row, strict=True)) for row in rows]
        self.size = len(self.combinations)
        self.points = map(Point, self.combinations)

    def ask(self) -> Point | None:
        """Return the next combination, None at the end."""
        return next(self.points, None)

    def asks_for(self, job: Job) -> bool:
        """Return whether an earlier job is one of the combinations."""
        return job.varied in self.combinations

    def tell(self, point: Point, score: float | None) -> None:
        """Do nothing: a grid does not learn."""


@dataclass(eq=False)
class OptunaSearch:
    """Ask Optuna for points; the files of the jobs are the only store.

    On a new start earlier trials are given to the sampler again, and unfinished ones come first. A
    point that Optuna repeats is not run again.

    Hydra's own plugin (hydra-optuna-sweeper 1.3.0) needs Optuna below 3, keeps its state in memory
    or in a database that SQLAlchemy 2 cannot open, and starts over after a kill.

    Args:
        sampler: An Optuna sampler.
        n_trials: Jobs in all.
        params: Override key -> search space, as after ``-m``: ``interval(0,1)``,
            ``tag(log,interval(1e-5,1e-2))``, ``int(interval(1,8))`` or values to choose from.
    """

    sampler: Any
    n_trials: int
    params: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.params = dict(self.params or {})  # null in configs
        self.size = self.n_trials
        self.asked = 0
        self.unfinished: list[Point] = []
        self.trials: dict[str, Any] = {}
        self.scores: dict[str, float | None] = {}

    def open(self, dimensions: Sequence[Override], mode: str, known: Sequence[Job]) -> None:
        """Start a study in memory with the trials of earlier jobs; UsageError without a space."""
        import optuna

        if not dimensions:
            raise UsageError("Expected a key to search, such as lr=interval(0,1), got none.")
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        direction = optuna.study.StudyDirection[{"min": "MINIMIZE", "max": "MAXIMIZE"}[mode]]
        self.study = optuna.create_study(sampler=self.sampler, direction=direction)
        self.space = {override.get_key_element(): space_of(override) for override in dimensions}
        for job in known:
            if not self.asks_for(job):
                continue
            self.asked += 1
            point = point_of(job.searched)  # the file's spelling might override other keys
            if job.state in (FINISHED, FAILED):
                self.tell(point, job.score if job.state == FINISHED else None)
            else:
                self.unfinished.append(point)
        if known:  # else a sampler with a seed would repeat its first points
            self.sampler.reseed_rng()

    def asks_for(self, job: Job) -> bool:
        """Return whether the values of an earlier job are in the present space."""
        from optuna.trial import TrialState, create_trial

        try:
            create_trial(params=job.searched, distributions=self.space, state=TrialState.FAIL)
        except (ValueError, TypeError, AttributeError):  # other keys, or values outside
            return False
        return True

    def ask(self) -> Point | None:
        """Return an unfinished earlier trial, or the sampler's next new one."""
        if self.unfinished:
            return self.unfinished.pop(0)
        for _ in range(10 * self.n_trials):
            if self.asked >= self.n_trials:
                break
            trial = self.study.ask(self.space)
            point = point_of(trial.params)
            if point.key not in self.trials and point.key not in self.scores:
                self.asked += 1
                self.trials[point.key] = trial
                return point
            self.study.tell(trial, *outcome(self.scores.get(point.key)))
        return None

    def tell(self, point: Point, score: float | None) -> None:
        """Pass a score to Optuna; None for a failure."""
        from optuna.trial import create_trial

        self.scores[point.key] = score
        if point.key in self.trials:
            self.study.tell(self.trials[point.key], *outcome(score))
            return
        value, state = outcome(score)
        params = dict(point.searched)
        trial = create_trial(state=state, value=value, params=params, distributions=self.space)
        self.study.add_trial(trial)


Search = Grid | OptunaSearch


def outcome(score: float | None) -> tuple[float | None, Any]:
    """Return a score as Optuna's value and state."""
    from optuna.trial import TrialState

    return score, TrialState.FAIL if score is None else TrialState.COMPLETE


def values_of(override: Override) -> list[str]:
    """Return the values of a list, choice or range as typed."""
    return [str(value) for value in override.sweep_string_iterator()]


def space_of(override: Override) -> Any:  # noqa: ANN401 - an Optuna distribution, imported late
    """Return the search space of an override."""
    from optuna import distributions

    if override.is_discrete_sweep():
        return distributions.CategoricalDistribution(values_of(override))
    interval: Any = override.value()
    whole = isinstance(interval.start, int)
    kind = distributions.IntDistribution if whole else distributions.FloatDistribution
    return kind(interval.start, interval.end, log="log" in interval.tags)


def point_of(searched: Mapping[str, Any]) -> Point:
    """Return the point of plain values; floats keep five digits in overrides."""
    typed = {k: f"{v:.5g}" if isinstance(v, float) else str(v) for k, v in searched.items()}
    return Point(typed, dict(searched))
