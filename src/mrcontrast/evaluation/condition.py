"""Check that a method follows its source: the own one against another subject's.

Another subject's source comes with another brain, so only voxels of both brains count. FLAIR and
T2w have the opposite contrast in inner grey and white matter of the T1w: a copy correlates less.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from mrcontrast.evaluation.anatomy import Anatomy
from mrcontrast.evaluation.paired_tests import SHUFFLED
from mrcontrast.evaluation.statistics import over_subjects
from mrcontrast.imaging.tissue_classes import CSF
from mrcontrast.metrics.intervals import MIN_SUBJECTS
from mrcontrast.metrics.score_regions import Scores
from mrcontrast.metrics.voxelwise import mean_absolute_error, peak_signal_to_noise

TARGETS = ("t1w",)
MARGIN = 0.1  # of the correlation; bias fields that both scans share may give a copy less
MIN_VOXELS = 50
WORDS = (
    "the own source against another subject's, over the voxels that both brains share; correlation "
    "of synthetic and real image over the inner grey and white matter of the real one, where a "
    "constant gains nothing and a copy of FLAIR loses. follows_source: the interval of the gain in "
    f"correlation is above {MARGIN:g}; null below {MIN_SUBJECTS} subjects"
)


@dataclass(frozen=True)
class Swap:
    """Scores of one session from its own source and from another subject's, in the same voxels."""

    own: Scores  # PSNR, MAE and correlation
    other: Scores
    share: float  # of the brain that the other brain also covers


def compare_swap(
    own: np.ndarray, other: np.ndarray, other_brain: np.ndarray, anatomy: Anatomy, data_range: float
) -> Swap | None:
    """Score two synthetic images of one session where both brains are; None if nowhere.

    ``own`` and ``other`` are the images (X, Y, Z) from the own and another subject's source, in the
    units of the metrics, and ``data_range`` the width of the intensity range.
    """
    shared = anatomy.brain & other_brain
    inner = shared & ndimage.binary_erosion(anatomy.tissues > CSF)
    if inner.sum() < MIN_VOXELS:
        return None
    scores = [
        {
            "psnr": peak_signal_to_noise(image, anatomy.image, data_range, shared),
            "mae": mean_absolute_error(image, anatomy.image, shared),
            "correlation": _correlation(image[inner], anatomy.image[inner]),
        }
        for image in (own, other)
    ]
    return Swap(scores[0], scores[1], float(shared.sum() / anatomy.brain.sum()))


def brain_of(image: np.ndarray) -> np.ndarray:
    """Return the non-zero voxels of a synthetic image (X, Y, Z) with holes filled; bool."""
    return np.asarray(ndimage.binary_fill_holes(image != 0), bool)


def check_condition(
    found: Mapping[str, Mapping[str, Swap]], methods: Sequence[str]
) -> dict[str, Any]:
    """Return the loss of each method when it is given the source of another subject.

    Scores of both images come by method and session; "X_shuffled" is the counterpart of method X.
    """
    named = [method for method in methods if not method.endswith(SHUFFLED)]
    return {
        "words": WORDS,
        "methods": {m: _summarise(m, found[m]) for m in named if m in found},
        "untested": [method for method in named if method not in found],
    }


def _summarise(method: str, swaps: Mapping[str, Swap]) -> dict[str, Any]:
    """Return statistics over subjects of one method, and the verdict."""
    parts: dict[str, dict[str, Scores]] = {"own": {}, "other": {}, "change": {}}
    for name, swap in swaps.items():
        for metric, own in swap.own.items():
            other = swap.other[metric]
            for part, value in (("own", own), ("other", other), ("change", own - other)):
                parts[part].setdefault(metric, {})[name] = value
    found: dict[str, Any] = {
        part: {metric: asdict(over_subjects(values)) for metric, values in metrics.items()}
        for part, metrics in parts.items()
    }
    ends = found["change"]["correlation"]["ci95"]
    return {
        "shuffled": method + SHUFFLED,
        "follows_source": None if ends is None else bool(ends[0] > MARGIN),
        **found,
        "share": asdict(over_subjects({name: swap.share for name, swap in swaps.items()})),
    }


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Return Pearson's correlation of two samples (N,); 0 where one is constant."""
    a, b = (values - values.mean(dtype=np.float64) for values in (first, second))
    size = float(np.sqrt((a @ a) * (b @ b)))
    flat = min(np.ptp(first), np.ptp(second)) <= 1e-6
    return 0.0 if flat or size == 0 else float(a @ b) / size
