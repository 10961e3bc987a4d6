"""Read a finished evaluation: its summary, the scores of each session, and their order."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.evaluation.metric_list import metrics_of
from mrcontrast.evaluation.protocol import USUAL
from mrcontrast.evaluation.statistics import Row, by_subject, read_csv
from mrcontrast.metrics.metric import Metric

SUMMARY, SCORES = "summary.json", "subjects.csv"
MAPPINGS = ("regions", "metrics", "versions", "missing", "statistics", "checks", "features")
FOLDERS = ("", "evaluation", "evaluation_full_grid")  # in an evaluation or a study, first wins


@dataclass(frozen=True)
class Evaluation:
    """The results of ``mrcontrast evaluate``: a folder, its summary.json and its subjects.csv."""

    folder: Path
    summary: dict[str, Any]
    rows: list[Row]

    @property
    def methods(self) -> list[str]:
        """Names of the methods, in the order of the evaluation."""
        return list(self.summary["methods"])

    @property
    def target(self) -> str:
        """Contrast of the images; one of an earlier version does not say it."""
        return str(self.summary["inputs"].get("target", USUAL))

    @property
    def sources(self) -> list[str]:
        """Contrasts that the models were given, as far as they are known."""
        return list(self.summary["inputs"].get("sources", ()))

    @property
    def is_at_full_grid(self) -> bool:
        """Whether the references are the raw files of a study."""
        return str(self.summary["inputs"]["references"]).endswith("of the manifest")

    @property
    def names(self) -> list[str]:
        """Sessions that were scored."""
        return list(dict.fromkeys(row.name for row in self.rows))

    @property
    def regions(self) -> list[str]:
        """Regions that were scored."""
        return list(dict.fromkeys(row.region for row in self.rows))

    @property
    def metrics(self) -> list[str]:
        """Columns of subjects.csv with any value."""
        return list(dict.fromkeys(name for row in self.rows for name in row.scores))

    def row(self, name: str, method: str, region: str) -> Row | None:
        """Return the scores of one session, or None if it has none."""
        wanted = (name, method, region)
        return next((r for r in self.rows if (r.name, r.method, r.region) == wanted), None)

    def by_subject(self, method: str, region: str, metric: str) -> dict[str, float]:
        """Return one value a subject: the mean over the sessions."""
        return self._by_subject.get((method, region, metric), {})

    def metric(self, name: str) -> Metric:
        """Return a metric for display; one that the summary does not define has its own name."""
        return self._metrics.get(name) or Metric.from_facts(name, {})

    @cached_property
    def _by_subject(self) -> dict[tuple[str, str, str], dict[str, float]]:
        return by_subject(self.rows)

    @cached_property
    def _metrics(self) -> dict[str, Metric]:
        return metrics_of(self.summary)


def choose(wanted: str | None, preferred: list[str], known: list[str]) -> str:
    """Return the wanted name, else the first preferred one that is known, else the first.

    Raises:
        UsageError: The wanted name is not known.
    """
    if wanted is not None and wanted not in known:
        raise UsageError(f"Expected one of {', '.join(known)}, got {wanted}. Choose one of them.")
    return wanted or next((name for name in preferred if name in known), known[0])


def read_evaluation(path: Path) -> Evaluation:
    """Read the evaluation in a folder, or that of the study in it.

    Raises:
        MrcontrastError: There is none, or its files cannot be read.
    """
    folder = next((path / name for name in FOLDERS if (path / name / SUMMARY).is_file()), None)
    if folder is None:
        raise MrcontrastError(
            f"Expected an evaluation or a study that has one, got no {SUMMARY} ({path}). "
            "Run `mrcontrast evaluate` first."
        )
    try:
        summary = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
        with (folder / SCORES).open(encoding="utf-8", newline="") as file:
            evaluation = Evaluation(folder, summary, read_csv(file))
        _check(evaluation)
        return evaluation
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MrcontrastError(
            f"Expected {SUMMARY} and {SCORES} of one evaluation, got {type(error).__name__}: "
            f"{error} ({folder}). Evaluate again."
        ) from error


def _check(evaluation: Evaluation) -> None:
    """Check that a summary and rows belong together."""
    summary = evaluation.summary
    inputs = summary["inputs"]
    required = summary["intensity_range"], summary["methods"], inputs["predictions"]
    optional = (summary.get(name) or {} for name in MAPPINGS)
    texts = summary["normalisation"], inputs["references"], inputs["masks"]
    normaliser = summary.get("reference_normaliser") or ""
    if not all(isinstance(part, dict) for part in (*required, *optional)) or not all(
        isinstance(part, str) for part in (*texts, normaliser)
    ):
        raise TypeError("a part of another kind")
    if set(evaluation.methods) != {row.method for row in evaluation.rows}:
        raise ValueError("other methods in one than in the other")


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
