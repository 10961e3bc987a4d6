"""From the files of a session to its figures."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mrcontrast.errors import MrcontrastError
from mrcontrast.metrics.intensity import IntensityRange
from mrcontrast.metrics.multiscale import count_scales
from mrcontrast.metrics.panel import score_regions
from mrcontrast.report.anatomy import Anatomy
from mrcontrast.report.pairing import Case
from mrcontrast.report.statistics import Row
from mrcontrast.transforms.grid import mask_from_nonzero
from mrcontrast.transforms.normalise import PercentileNormaliser
from mrcontrast.volume import Volume, read_mask, read_volume, same_grid


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
    anatomy = read_anatomy(case, reference, target, mask)
    rows = []
    for method, path in case.predictions.items():
        prediction = read_volume(path)
        same_grid(reference, prediction, case.reference, path)
        image = rule.rescale(prediction.data, ends)
        regions = score_regions(image, target, anatomy.regions, rule.measured(ends), num_scales)
        regions["brain"] |= anatomy.compare_texture(image) | anatomy.compare_tissues(image)
        if "lesion" in regions:
            regions["lesion"] |= anatomy.compare_lesions(image)
        for region, scores in regions.items():
            voxels = anatomy.regions[region]
            count = mask.size if voxels is None else int(voxels.sum())
            rows.append(Row(case.name, case.subject, method, region, count, *ends, scores))
    return rows


def read_anatomy(case: Case, reference: Volume, target: np.ndarray, mask: np.ndarray) -> Anatomy:
    """Gather what is known of the reference of one session.

    Args:
        case: The session's files.
        reference: The real image as it was read.
        target: Its voxels in the units of the metrics, (X, Y, Z).
        mask: The brain, (X, Y, Z) bool.

    Raises:
        MrcontrastError: The lesion mask or the labels cannot be read or are on another grid.
    """
    lesions = labels = None
    if case.lesions is not None:
        lesions = read_mask(case.lesions, reference, case.reference)
    if case.labels is not None:
        found = read_volume(case.labels)
        same_grid(reference, found, case.reference, case.labels)
        labels = np.rint(found.data).astype(np.uint8)
    axial = next(k for k, way in enumerate(reference.orientation) if way in "SI")
    return Anatomy(target, mask, reference.spacing_mm, axial, lesions, labels)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Add the file to the message of a fault found in its voxels."""
    try:
        yield
    except MrcontrastError as error:
        raise MrcontrastError(f"{str(error).rstrip('.')} ({path}).") from error
