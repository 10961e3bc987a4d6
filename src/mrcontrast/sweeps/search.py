"""Which jobs a sweep consists of: a grid, or what Optuna asks for."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from hydra.core.override_parser.types import Override

from mrcontrast.errors import UsageError
from mrcontrast.sweeps.jobs import FAILED, FINISHED, Job


@dataclass(frozen=True)
class Point:
    """One set of values.

    Attributes:
        varied: Override key -> value as typed.
        searched: The same as plain values; empty for a grid, whose points need no memory.
    """

    varied: Mapping[str, str]
    searched: Mapping[str, Any] = field(default_factory=dict)


class Search(Protocol):
    """What a sweep asks for jobs."""

    params: Mapping[str, str]

    def open(self, dimensions: Sequence[Override], mode: str, known: Sequence[Job]) -> None:
        """Learn what is varied, which score is better, and which jobs were there before."""

    def ask(self) -> Point | None:
        """Return the next point, or None for the end."""

    def asks_for(self, job: Job) -> bool:
        """Return whether an earlier job is one of this start's."""

    def tell(self, point: Point, score: float | None) -> None:
        """Learn the score of a point; None when it failed."""

    def size(self) -> int:
        """Return how many jobs there are in all."""


class Grid:
    """Each combination of the values, the last key fastest.

    Args:
        params: Override key -> values, as after ``-m``; those of the command line come first.
    """

    def __init__(self, params: Mapping[str, str] | None = None) -> None:
        self.params = dict(params or {})
        self.count = 0
        self.laid: list[dict[str, str]] = []
        self.points: Iterator[Point] = iter(())

    def open(self, dimensions: Sequence[Override], mode: str, known: Sequence[Job]) -> None:
        """Lay the grid out.

        Raises:
            UsageError: A key has an interval, which a grid cannot enumerate.
        """
        for override in dimensions:
            if not override.is_discrete_sweep():
                raise UsageError(
                    f"Expected values that can be counted, got {override.input_line}. "
                    "List them, or add hydra/sweeper=optuna."
                )
        keys = [override.get_key_element() for override in dimensions]
        combinations = list(itertools.product(*(values_of(override) for override in dimensions)))
        self.count = len(combinations)
        self.laid = [dict(zip(keys, values, strict=True)) for values in combinations]
        self.points = map(Point, self.laid)

    def ask(self) -> Point | None:
        """Return the next combination."""
        return next(self.points, None)

    def asks_for(self, job: Job) -> bool:
        """Return whether an earlier job is one of the combinations."""
        return job.varied in self.laid

    def tell(self, point: Point, score: float | None) -> None:
        """Do nothing: a grid does not learn."""

    def size(self) -> int:
        """Return the number of combinations."""
        return self.count


class OptunaSearch:
    """Ask Optuna, tell it the scores, and keep no store of its own: the jobs' files are all.

    On a new start the trials are laid before the sampler again, and those that had begun are
    finished first. A point that was asked for before is not run again but told at once.

    Hydra's own plugin (hydra-optuna-sweeper 1.3.0) wants Optuna below 3, keeps what it knows in
    memory or in a database that SQLAlchemy 2 no longer opens, and starts over after a kill.

    Args:
        sampler: An Optuna sampler.
        n_trials: Jobs in all.
        params: Override key -> search space, as after ``-m``: ``interval(0,1)``,
            ``tag(log,interval(1e-5,1e-2))``, ``int(interval(1,8))`` or values to choose from.
    """

    def __init__(
        self,
        sampler: Any,  # noqa: ANN401 - Optuna's, imported late
        n_trials: int,
        params: Mapping[str, str] | None = None,
    ) -> None:
        self.sampler = sampler
        self.n_trials = n_trials
        self.params = dict(params or {})
        self.asked = 0
        self.unfinished: list[Point] = []
        self.trials: dict[str, Any] = {}
        self.scores: dict[str, float | None] = {}

    def open(self, dimensions: Sequence[Override], mode: str, known: Sequence[Job]) -> None:
        """Start a study in memory and lay earlier trials before it.

        Raises:
            UsageError: Nothing is searched.
        """
        import optuna

        if not dimensions:
            raise UsageError("Expected a key to search, such as lr=interval(0,1), got none.")
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        direction = optuna.study.StudyDirection[{"min": "MINIMIZE", "max": "MAXIMIZE"}[mode]]
        self.study = optuna.create_study(sampler=self.sampler, direction=direction)
        self.space = {override.get_key_element(): space_of(override) for override in dimensions}
        for job in known:
            self.remember(job)
        if known:  # else a sampler with a seed would ask for its first points again
            self.sampler.reseed_rng()

    def asks_for(self, job: Job) -> bool:
        """Return whether an earlier job lies in the space that is searched now."""
        from optuna.trial import TrialState, create_trial

        try:
            create_trial(params=job.searched, distributions=self.space, state=TrialState.FAIL)
        except (ValueError, TypeError, AttributeError):  # other keys, or values outside
            return False
        return True

    def remember(self, job: Job) -> None:
        """Lay an earlier job before the sampler, or keep it to be finished."""
        from optuna.trial import TrialState, create_trial

        if not self.asks_for(job):
            return
        self.asked += 1
        point = point_of(job.searched)  # not as the file spells it, which may override other keys
        failed = job.state == FAILED or (job.state == FINISHED and job.score is None)
        if not failed and job.state != FINISHED:
            self.unfinished.append(point)
            return
        self.scores[key_of(point)] = None if failed else job.score
        trial = create_trial(
            params=dict(job.searched),
            distributions=self.space,
            value=None if failed else job.score,
            state=TrialState.FAIL if failed else TrialState.COMPLETE,
        )
        self.study.add_trial(trial)

    def ask(self) -> Point | None:
        """Return a trial that had begun before, or the sampler's next new one."""
        if self.unfinished:
            return self.unfinished.pop(0)
        for _ in range(10 * self.n_trials):
            if self.asked >= self.n_trials:
                break
            trial = self.study.ask(self.space)
            point = point_of(trial.params)
            key = key_of(point)
            if key not in self.trials and key not in self.scores:
                self.asked += 1
                self.trials[key] = trial
                return point
            self.tell_trial(trial, self.scores.get(key))
        return None

    def tell(self, point: Point, score: float | None) -> None:
        """Pass the score on."""
        from optuna.trial import TrialState, create_trial

        key = key_of(point)
        self.scores[key] = score
        if key in self.trials:
            self.tell_trial(self.trials[key], score)
            return
        state = TrialState.FAIL if score is None else TrialState.COMPLETE
        params = dict(point.searched)
        self.study.add_trial(
            create_trial(params=params, distributions=self.space, value=score, state=state)
        )

    def tell_trial(self, trial: Any, score: float | None) -> None:  # noqa: ANN401 - Optuna's
        """Tell a trial's score, or that it failed."""
        from optuna.trial import TrialState

        if score is None:
            self.study.tell(trial, state=TrialState.FAIL)
        else:
            self.study.tell(trial, score)

    def size(self) -> int:
        """Return the number of trials wanted."""
        return self.n_trials


def values_of(override: Override) -> list[str]:
    """Return the values of a list, choice or range as they would be typed."""
    return [str(value) for value in override.sweep_string_iterator()]


def space_of(override: Override) -> Any:  # noqa: ANN401 - an Optuna distribution, imported late
    """Return the search space that an override means."""
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if override.is_discrete_sweep():
        return CategoricalDistribution(values_of(override))
    interval: Any = override.value()
    log = "log" in interval.tags
    if isinstance(interval.start, int):
        return IntDistribution(interval.start, interval.end, log=log)
    return FloatDistribution(interval.start, interval.end, log=log)


def point_of(searched: Mapping[str, Any]) -> Point:
    """Return the point of plain values, spelled as overrides."""
    return Point({key: typed(value) for key, value in searched.items()}, dict(searched))


def key_of(point: Point) -> str:
    """Return what tells points apart."""
    return repr(sorted(point.varied.items()))


def typed(value: Any) -> str:  # noqa: ANN401 - number or text
    """Return a value as an override has it; floats keep five figures, enough to tell apart."""
    return f"{value:.5g}" if isinstance(value, float) else str(value)
