"""Order sessions for display: the worst and the best in turn."""

from dataclasses import dataclass

import numpy as np

from mrcontrast.report.evaluation import Evaluation


@dataclass(frozen=True)
class Ranking:
    """The sessions of an evaluation by one metric of one method in a region, worst first.

    Those without a value come last.
    """

    method: str
    metric: str
    region: str
    names: list[str]

    @property
    def worst(self) -> list[str]:
        """The worse half, worst first."""
        return self.names[: (len(self.names) + 1) // 2]

    @property
    def best(self) -> list[str]:
        """The better half, best first."""
        return self.names[len(self.worst) :][::-1]

    @property
    def in_turn(self) -> list[str]:
        """Worst, best, second worst, second best, and so on."""
        worst, best = self.worst, self.best
        pairs = [name for pair in zip(worst, best, strict=False) for name in pair]
        return pairs + worst[len(best) :]


def rank(evaluation: Evaluation, method: str, metric: str, region: str) -> Ranking:
    """Order the sessions of an evaluation by one metric of one method."""
    known = evaluation.metric(metric)
    badness = {
        row.name: float(known.badness(np.array(row.scores[metric])))
        for row in evaluation.rows
        if (row.method, row.region) == (method, region) and metric in row.scores
    }
    names = sorted(badness, key=lambda name: (-badness[name], name))
    rest = [name for name in evaluation.names if name not in badness]
    return Ranking(method, metric, region, names + rest)
