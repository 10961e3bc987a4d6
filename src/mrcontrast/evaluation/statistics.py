"""From the scores of sessions to statistics over subjects, and the table of all scores."""

import csv
import io
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mrcontrast.evaluation.metric_list import REGIONS
from mrcontrast.evaluation.pairing import subject_of
from mrcontrast.metrics.intervals import Statistic, summarise
from mrcontrast.metrics.metric import Metric
from mrcontrast.metrics.score_regions import Scores

FIXED_COLUMNS = ("subject", "session", "method", "region", "voxels", "range_low", "range_high")


@dataclass(frozen=True)
class Row:
    """The scores of one session, method and region."""

    name: str  # session, "sub-X" or "sub-X_ses-Y"
    subject: str
    method: str
    region: str
    voxels: int  # of the region
    low: float  # ends of the intensity range, in the units of the files
    high: float
    scores: Scores

    @property
    def ends(self) -> tuple[float, float]:
        """Both ends of the intensity range."""
        return self.low, self.high


def summarise_rows(rows: Sequence[Row]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return method -> region -> metric -> {mean, sd, ci95, n}; sessions are averaged first."""
    summary: dict[str, dict[str, dict[str, Any]]] = defaultdict(lambda: defaultdict(dict))
    for (method, region, metric), subjects in by_subject(rows).items():
        summary[method][region][metric] = asdict(summarise(np.array(list(subjects.values()))))
    return {
        method: {region: regions[region] for region in REGIONS if region in regions}
        for method, regions in summary.items()
    }


def by_subject(rows: Sequence[Row]) -> dict[tuple[str, str, str], dict[str, float]]:
    """Return (method, region, metric) -> subject -> the mean over the subject's sessions."""
    sessions: dict[tuple[str, str, str], dict[str, float]] = defaultdict(dict)
    for row in rows:
        for metric, value in row.scores.items():
            sessions[row.method, row.region, metric][row.name] = value
    return {key: subject_means(values) for key, values in sessions.items()}


def subject_means(values: Mapping[str, float]) -> dict[str, float]:
    """Return the mean over the sessions of each subject.

    >>> subject_means({"sub-1_ses-1": 1.0, "sub-1_ses-2": 2.0, "sub-2": 4.0})
    {'sub-1': 1.5, 'sub-2': 4.0}
    """
    subjects: dict[str, list[float]] = {}
    for name, value in values.items():
        subjects.setdefault(subject_of(name), []).append(value)
    return {subject: float(np.mean(found)) for subject, found in subjects.items()}


def over_subjects(values: Mapping[str, float]) -> Statistic:
    """Return the statistics over subjects of one value a session."""
    return summarise(np.array(list(subject_means(values).values())))


def to_csv(rows: Sequence[Row], metrics: Sequence[Metric]) -> str:
    """Format rows as CSV with a header; metrics without any value get no column."""
    present = {name for row in rows for name in row.scores}
    columns = [metric.name for metric in metrics if metric.name in present]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*FIXED_COLUMNS, *columns])
    for row in rows:
        session = row.name.removeprefix(row.subject).removeprefix("_")
        fixed = [row.subject, session, row.method, row.region, row.voxels, row.low, row.high]
        writer.writerow(fixed + [_cell(row.scores.get(metric)) for metric in columns])
    return text.getvalue()


def read_csv(lines: Iterable[str]) -> list[Row]:
    """Read the rows of ``to_csv`` again; values that are not finite are left out.

    A missing fixed column raises KeyError, and one that holds no number ValueError.
    """
    rows = []
    for cells in csv.DictReader(lines):
        subject, session, method, region, voxels, low, high = (cells[key] for key in FIXED_COLUMNS)
        name = f"{subject}_{session}" if session else subject
        values = {key: _number(cell) for key, cell in cells.items() if key not in FIXED_COLUMNS}
        scores = {key: value for key, value in values.items() if math.isfinite(value)}
        fixed = name, subject, method, region, int(voxels), float(low), float(high)
        rows.append(Row(*fixed, scores))
    return rows


def _number(cell: str | None) -> float:
    """Return the number in a cell; NaN for text or an empty cell."""
    try:
        return float(cell or "nan")
    except ValueError:
        return math.nan


def _cell(value: float | None) -> float | str:
    return "" if value is None or math.isnan(value) else value
