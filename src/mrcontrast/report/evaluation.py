"""A finished evaluation as it lies on disk: its summary and the figures of each session."""

import csv
import json
import math
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.metrics.definitions import LESIONS, METRICS, OUTSIDE, STRUCTURE, VOLUMES, Definition

SHOWN = METRICS | STRUCTURE | VOLUMES | LESIONS  # whose titles, units and digits are known
SUMMARY, SCORES = "summary.json", "subjects.csv"
MAPPINGS = ("regions", "metrics", "versions", "missing", "statistics", "checks", "features")
FOLDERS = ("", "evaluation", "evaluation_full_grid")  # in an evaluation or a study, first wins
FIXED = ("subject", "session", "method", "region", "voxels", "range_low", "range_high")


@dataclass(frozen=True)
class Score:
    """The figures of one session, method and region.

    Attributes:
        name: Session, "sub-X" or "sub-X_ses-Y".
        subject: The person.
        method: Name of the method.
        region: Such as "brain".
        ends: Lower and upper end of the intensity range, in the units of the files.
        values: Metric by name; what is not finite is left out.
    """

    name: str
    subject: str
    method: str
    region: str
    ends: tuple[float, float]
    values: dict[str, float]


@dataclass(frozen=True)
class Evaluation:
    """What ``mrcontrast evaluate`` wrote.

    Attributes:
        folder: Where it lies.
        summary: What summary.json holds.
        scores: The rows of subjects.csv.
    """

    folder: Path
    summary: dict[str, Any]
    scores: list[Score]

    @property
    def methods(self) -> list[str]:
        """Names of the methods, in the order of the evaluation."""
        return list(self.summary["methods"])

    @property
    def names(self) -> list[str]:
        """Sessions that were scored."""
        return list(dict.fromkeys(score.name for score in self.scores))

    @property
    def metrics(self) -> list[str]:
        """Columns of subjects.csv that hold a figure somewhere."""
        return list(dict.fromkeys(name for score in self.scores for name in score.values))

    def score(self, name: str, method: str, region: str) -> Score | None:
        """Return the figures of one session, or None if it has none."""
        wanted = (name, method, region)
        found = (s for s in self.scores if (s.name, s.method, s.region) == wanted)
        return next(found, None)

    def by_subject(self, method: str, region: str, metric: str) -> dict[str, float]:
        """Return one value a subject: the mean over the sessions."""
        values = defaultdict(list)
        for score in self.scores:
            if (score.method, score.region) == (method, region) and metric in score.values:
                values[score.subject].append(score.values[metric])
        return {subject: float(np.mean(sessions)) for subject, sessions in values.items()}

    def definition(self, metric: str) -> Definition:
        """Return how a metric is shown; one that is not known here is shown under its own name."""
        if metric in SHOWN:
            return SHOWN[metric]
        words = self.summary.get("metrics", {}).get(metric, {})
        titles = {OUTSIDE: "Voxels out of range"}
        return Definition(
            titles.get(metric, metric.replace("_", " ")),
            str(words.get("unit") or ""),
            bool(words.get("higher_is_better", False)),
            4 if metric == OUTSIDE else 3,
        )

    def heading(self, metric: str) -> str:
        """Return title and unit of a metric, with an arrow where the better side is known."""
        words = self.summary.get("metrics", {}).get(metric, {})
        definition = self.definition(metric)
        if metric in SHOWN or "higher_is_better" in words:
            return definition.heading
        return definition.title + (f" ({definition.unit})" if definition.unit else "")

    def choose_metric(self, metric: str | None) -> str:
        """Return the metric that ranks subjects: the one asked for, PSNR, or the first.

        Raises:
            UsageError: There is no such metric.
        """
        return _choose(metric or ("psnr" if "psnr" in self.metrics else None), self.metrics)

    def choose_method(self, method: str | None, preferred: list[str]) -> str:
        """Return the method that is shown first: the one asked for, a preferred one, or the first.

        Raises:
            UsageError: There is no such method.
        """
        return _choose(method or next(iter(preferred), None), self.methods)


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
            scores = [_to_score(row) for row in csv.DictReader(file)]
        return _checked(Evaluation(folder, summary, scores))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MrcontrastError(
            f"Expected {SUMMARY} and {SCORES} of one evaluation, got {type(error).__name__}: "
            f"{error} ({folder}). Evaluate again."
        ) from error


def _checked(evaluation: Evaluation) -> Evaluation:
    """Refuse a summary and rows that do not belong together."""
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
    if set(evaluation.methods) != {score.method for score in evaluation.scores}:
        raise ValueError("other methods in one than in the other")
    return evaluation


def _to_score(row: dict[str, str]) -> Score:
    """Read one row of subjects.csv."""
    subject, session = row["subject"], row["session"]
    cells = {key: _number(cell) for key, cell in row.items() if key not in FIXED}
    return Score(
        f"{subject}_{session}" if session else subject,
        subject,
        row["method"],
        row["region"],
        (float(row["range_low"]), float(row["range_high"])),
        {key: value for key, value in cells.items() if math.isfinite(value)},
    )


def _number(cell: str | None) -> float:
    """Return the number in a cell, or NaN for text and for nothing."""
    try:
        return float(cell or "nan")
    except ValueError:
        return math.nan


def _choose(wanted: str | None, known: list[str]) -> str:
    """Return the wanted name, or the first known one."""
    if wanted is not None and wanted not in known:
        raise UsageError(f"Expected one of {', '.join(known)}, got {wanted}. Choose one of them.")
    return wanted or known[0]
