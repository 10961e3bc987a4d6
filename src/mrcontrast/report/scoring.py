"""From the files of a session to its figures, and from figures to statistics over subjects."""

import csv
import io
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mrcontrast.errors import MrcontrastError
from mrcontrast.metrics.bootstrap import summarise
from mrcontrast.metrics.definitions import METRICS, OUTSIDE, REGIONS
from mrcontrast.metrics.intensity import IntensityRange
from mrcontrast.metrics.multiscale import count_scales
from mrcontrast.metrics.panel import Scores, score_regions
from mrcontrast.report.pairing import Case
from mrcontrast.transforms.grid import mask_from_nonzero
from mrcontrast.transforms.normalise import PercentileNormaliser
from mrcontrast.volume import Volume, read_mask, read_volume, same_grid

COLUMNS = (*METRICS, OUTSIDE)


@dataclass(frozen=True)
class Row:
    """The figures of one session, method and region.

    Attributes:
        name: Session, "sub-X" or "sub-X_ses-Y".
        subject: The person.
        method: Name of the method.
        region: "brain" or "image".
        voxels: Voxels of the region.
        low: Lower end of the intensity range, in the units of the files.
        high: Upper end.
        scores: Metric by name.
    """

    name: str
    subject: str
    method: str
    region: str
    voxels: int
    low: float
    high: float
    scores: Scores


@dataclass(frozen=True)
class Survey:
    """What has to be known of all references before the first is scored.

    Attributes:
        name: Session.
        num_scales: Scales of MS-SSIM that its grid allows.
        low: Smallest intensity.
        high: Largest intensity.
    """

    name: str
    num_scales: int
    low: float
    high: float


def survey_case(case: Case, normaliser: PercentileNormaliser | None = None) -> Survey:
    """Read the reference of one session and note its size and extreme intensities.

    Raises:
        MrcontrastError: It cannot be read, or is too small for SSIM.
    """
    reference, _ = read_reference(case, normaliser)
    with _naming(case.reference):
        num_scales = count_scales(reference.shape)
    low, high = float(reference.data.min()), float(reference.data.max())
    return Survey(case.name, num_scales, low, high)


def read_reference(
    case: Case, normaliser: PercentileNormaliser | None = None
) -> tuple[Volume, np.ndarray]:
    """Read the reference of one session and its brain mask, (X, Y, Z) bool.

    Args:
        case: The session's files.
        normaliser: Brings the reference to [0, 1] in the mask, and to 0 outside, as preparation
            does; None leaves it as it is stored.

    Raises:
        MrcontrastError: A file cannot be read, the grids differ, the mask is empty, or the
            reference that is to be normalised is constant in it.
    """
    reference = read_volume(case.reference)
    mask = read_brain(case, reference)
    if normaliser is None:
        return reference, mask
    with _naming(case.reference):
        fitted = normaliser.fit(reference.data, mask)
    return replace(reference, data=fitted.apply(reference.data) * mask), mask


def read_brain(case: Case, reference: Volume) -> np.ndarray:
    """Read the brain mask of one session, (X, Y, Z) bool, or take the reference's non-zero voxels.

    Raises:
        MrcontrastError: It cannot be read, is on another grid, or is empty.
    """
    if case.mask is None:
        with _naming(case.reference):
            return mask_from_nonzero(reference)
    mask = read_mask(case.mask, reference, case.reference)
    if not mask.any():
        raise MrcontrastError(
            f"Expected a mask with voxels in it, got an empty one ({case.mask}). Make it again."
        )
    return mask


def score_case(
    case: Case,
    rule: IntensityRange,
    num_scales: int,
    normaliser: PercentileNormaliser | None = None,
) -> list[Row]:
    """Score every prediction of one session, one volume in memory at a time.

    Args:
        case: The session's files.
        rule: Intensity range.
        num_scales: Scales of MS-SSIM.
        normaliser: Of the reference; predictions are taken as they are stored.

    Raises:
        MrcontrastError: A file cannot be read, or a prediction is not on the reference's grid.
    """
    reference, mask = read_reference(case, normaliser)
    with _naming(case.reference):
        ends = rule.ends(reference.data, mask)
    target = rule.rescale(reference.data, ends)
    rows = []
    for method, path in case.predictions.items():
        prediction = read_volume(path)
        same_grid(reference, prediction, case.reference, path)
        image = rule.rescale(prediction.data, ends)
        regions = score_regions(image, target, mask, rule.measured(ends), num_scales)
        for region, scores in regions.items():
            voxels = int(mask.sum()) if region == "brain" else mask.size
            rows.append(Row(case.name, case.subject, method, region, voxels, *ends, scores))
    return rows


def summarise_rows(rows: list[Row], seed: int) -> dict[str, dict[str, dict[str, Any]]]:
    """Return method -> region -> metric -> {mean, sd, ci95, n}; sessions are averaged first.

    Args:
        rows: The figures of all sessions.
        seed: Seed of the bootstrap.
    """
    methods = list(dict.fromkeys(row.method for row in rows))
    return {
        method: {
            region: {
                metric: asdict(summarise(_by_subject(rows, method, region, metric), seed))
                for metric in COLUMNS
            }
            for region in REGIONS
        }
        for method in methods
    }


def to_csv(rows: list[Row]) -> str:
    """Format rows as CSV with a header; one line a session, method and region."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["subject", "session", "method", "region", "voxels", "range_low", "range_high", *COLUMNS]
    )
    for row in rows:
        session = row.name.removeprefix(row.subject).removeprefix("_")
        fixed = [row.subject, session, row.method, row.region, row.voxels, row.low, row.high]
        writer.writerow(fixed + [row.scores[metric] for metric in COLUMNS])
    return text.getvalue()


def _by_subject(rows: list[Row], method: str, region: str, metric: str) -> np.ndarray:
    """Return one value a subject, (N,): the mean over the sessions."""
    values = defaultdict(list)
    for row in rows:
        if (row.method, row.region) == (method, region):
            values[row.subject].append(row.scores[metric])
    return np.array([np.mean(sessions) for sessions in values.values()])


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Add the file to the message of a fault found in its voxels."""
    try:
        yield
    except MrcontrastError as error:
        raise MrcontrastError(f"{str(error).rstrip('.')} ({path}).") from error
