"""From figures of sessions to statistics over subjects, and to the table of all figures."""

import csv
import io
import math
from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mrcontrast.metrics.definitions import (
    LESIONS,
    METRICS,
    OUTSIDE,
    REGIONS,
    STRUCTURE,
    VOLUMES,
    Definition,
)
from mrcontrast.metrics.intervals import summarise
from mrcontrast.metrics.panel import Scores

PERCEPTUAL = "perceptual_"
COLUMNS = (*METRICS, OUTSIDE, *STRUCTURE, *VOLUMES, *LESIONS)


FIXED_COLUMNS = ("subject", "session", "method", "region", "voxels", "range_low", "range_high")


@dataclass(frozen=True)
class Row:
    """The figures of one session, method and region.

    Attributes:
        name: Session, "sub-X" or "sub-X_ses-Y".
        subject: The person.
        method: Name of the method.
        region: One of ``REGIONS``.
        voxels: Voxels of the region.
        low: Lower end of the intensity range, in the units of the files.
        high: Upper end.
        scores: Metric by name; a region has only those that it allows.
    """

    name: str
    subject: str
    method: str
    region: str
    voxels: int
    low: float
    high: float
    scores: Scores


def summarise_rows(rows: list[Row]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return method -> region -> metric -> {mean, sd, ci95, n}; sessions are averaged first.

    Args:
        rows: The figures of all sessions.
    """
    values = by_subject(rows)
    summary: dict[str, dict[str, dict[str, Any]]] = defaultdict(lambda: defaultdict(dict))
    for (method, region, metric), subjects in values.items():
        array = np.array(list(subjects.values()))
        summary[method][region][metric] = asdict(summarise(array))
    return {
        method: {region: regions[region] for region in REGIONS if region in regions}
        for method, regions in summary.items()
    }


def by_subject(rows: list[Row]) -> dict[tuple[str, str, str], dict[str, float]]:
    """Return (method, region, metric) -> subject -> the mean over the subject's sessions."""
    sessions: dict[tuple[str, str, str], dict[str, list[float]]] = {}
    for row in rows:
        for metric, value in row.scores.items():
            cell = sessions.setdefault((row.method, row.region, metric), {})
            cell.setdefault(row.subject, []).append(value)
    return {
        key: {subject: float(np.mean(values)) for subject, values in subjects.items()}
        for key, subjects in sessions.items()
    }


def columns_of(rows: list[Row]) -> list[str]:
    """Return the metrics that some row has, in their usual order, those of other names last."""
    present = dict.fromkeys(metric for row in rows for metric in row.scores)
    known = [metric for metric in COLUMNS if metric in present]
    return known + [metric for metric in present if metric not in COLUMNS]


def to_csv(rows: list[Row]) -> str:
    """Format rows as CSV with a header, one line a session, method and region; blank: no figure."""
    columns, text = columns_of(rows), io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*FIXED_COLUMNS, *columns])
    for row in rows:
        session = row.name.removeprefix(row.subject).removeprefix("_")
        fixed = [row.subject, session, row.method, row.region, row.voxels, row.low, row.high]
        writer.writerow(fixed + [_cell(row.scores.get(metric)) for metric in columns])
    return text.getvalue()


def _cell(value: float | None) -> float | str:
    return "" if value is None or math.isnan(value) else value


def definition_of(metric: str) -> Definition | None:
    """Return how a metric is shown, or None of one that only describes.

    >>> definition_of("perceptual_efficientnet_lite0_2.5d").heading
    'Perceptual (efficientnet_lite0_2.5d) ↓'
    """
    if metric.startswith(PERCEPTUAL):
        extractor = metric.removeprefix(PERCEPTUAL)
        return Definition(f"Perceptual ({extractor})", "", higher_is_better=False, digits=4)
    return (METRICS | STRUCTURE | LESIONS).get(metric)
