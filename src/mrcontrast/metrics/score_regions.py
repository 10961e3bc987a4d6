"""Every metric in every region, in 3D or as the mean over the slices of a volume."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from mrcontrast.metrics.metric import Metric, Pair
from mrcontrast.metrics.multiscale import slice_pyramids
from mrcontrast.metrics.voxelwise import mean_absolute_error

MIN_SHARE = 0.05  # of the brain's area in its largest slice; slices with less are left out
SLICES = (
    f"mean over axial slices that hold {MIN_SHARE:.0%} of the largest slice's brain, and a voxel "
    "of the region"
)

Scores = dict[str, float]
Regions = Mapping[str, np.ndarray | None]  # (*S) bool; None for the whole image


def score(pair: Pair, metrics: Iterable[Metric]) -> Scores:
    """Return the metrics of one pair by name; those without a value are left out."""
    values = {metric.name: metric(pair) for metric in metrics}
    return {name: value for name, value in values.items() if value is not None}


def score_regions(pair: Pair, regions: Regions, metrics: Sequence[Metric]) -> dict[str, Scores]:
    """Return the metrics of whole images by region: {"brain": {"mae": ...}, "image": ...}."""
    return {name: score(replace(pair, mask=mask), metrics) for name, mask in regions.items()}


def score_slices(
    pair: Pair, regions: Regions, metrics: Sequence[Metric], axis: int
) -> dict[str, Scores]:
    """Return ``score_regions`` of each slice, averaged over the slices that have a value.

    Slices along ``axis`` with less than a twentieth of the largest slice's brain are left out.
    """
    for mask in regions.values():
        replace(pair, mask=mask)  # checks it
    brain = regions["brain"]
    assert brain is not None
    chosen = slices_of(brain, axis)

    def stack(volume: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(np.moveaxis(volume, axis, 0)[chosen])

    images = stack(pair.prediction), stack(pair.target)
    maps = slice_pyramids(*images, pair.data_range, pair.similarity.num_scales)
    found = {}
    for region, mask in regions.items():
        masks = [None] * len(chosen) if mask is None else stack(mask)
        each = [
            score(Pair(prediction, target, inside, pair.intensity_range, similarity), metrics)
            for prediction, target, inside, similarity in zip(*images, masks, maps, strict=True)
            if inside is None or inside.any()
        ]
        if each:
            found[region] = _mean(each)
    return found


def mean_slice_error(
    prediction: np.ndarray, target: np.ndarray, brain: np.ndarray, axis: int
) -> float:
    """Return the MAE of volumes (X, Y, Z) in the brain as ``score_slices`` computes it."""
    stacks = [np.moveaxis(array, axis, 0) for array in (prediction, target, brain)]
    chosen = slices_of(brain, axis)
    return math.fsum(mean_absolute_error(*(s[k] for s in stacks)) for k in chosen) / len(chosen)


def slices_of(brain: np.ndarray, axis: int) -> np.ndarray:
    """Return the positions along an axis that hold enough of the brain (X, Y, Z), (n,)."""
    area = brain.sum(axis=tuple(k for k in range(brain.ndim) if k != axis))
    return np.flatnonzero(area >= MIN_SHARE * area.max())


def _mean(each: Sequence[Scores]) -> Scores:
    """Average each score over the slices that have it."""
    values: dict[str, list[float]] = {}
    for scores in each:
        for name, value in scores.items():
            if not math.isnan(value):
                values.setdefault(name, []).append(value)
    return {name: math.fsum(found) / len(found) for name, found in values.items()}
