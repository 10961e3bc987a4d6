"""Bland-Altman agreement of synthetic and real volumes on quantities that a study measures."""

from collections import defaultdict
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mrcontrast.metrics.intervals import MIN_SUBJECTS
from mrcontrast.phantom.anatomy import LABELS
from mrcontrast.report.evaluation import Evaluation
from mrcontrast.report.generic_tables import words
from mrcontrast.report.sessions import Images

NORMAL_95 = 1.96
TISSUES = {"csf": "CSF", "gm": "GM", "wm": "WM", "lesion": "lesions"}
REAL, SYNTHETIC = "_real", "_synthetic"


class Pair(NamedTuple):
    """One quantity of one subject, on the real and the synthetic volume in one unit."""

    subject: str
    real: float
    synthetic: float


@dataclass(frozen=True)
class Agreement:
    """One quantity, with its unit in the name, of all subjects by one method."""

    quantity: str
    method: str
    pairs: list[Pair]

    @property
    def differences(self) -> np.ndarray:
        """Synthetic minus real, (N,)."""
        return np.array([pair.synthetic - pair.real for pair in self.pairs])

    @property
    def bias(self) -> float:
        """Mean difference."""
        return float(self.differences.mean())

    @property
    def limits(self) -> tuple[float, float] | None:
        """Bias less and plus 1.96 standard deviations; None for fewer than five subjects.

        Source: Bland and Altman 1986, Lancet 327(8476).
        """
        if len(self.pairs) < MIN_SUBJECTS:
            return None
        spread = NORMAL_95 * float(self.differences.std(ddof=1))
        return self.bias - spread, self.bias + spread


class IntensityAgreement:
    """Mean intensities of the brain and its tissues, gathered session by session."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str, str], list[tuple[float, float]]] = defaultdict(list)

    def add(self, subject: str, images: Images) -> None:
        """Measure the images of one session."""
        for region, voxels in _regions(images).items():
            real = float(images.real.data[voxels].mean(dtype=np.float64))
            for method, volume in images.synthetic.items():
                synthetic = float(volume.data[voxels].mean(dtype=np.float64))
                self._values[region, method, subject].append((real, synthetic))

    def results(self) -> list[Agreement]:
        """Return one agreement a region and method; sessions of one subject are averaged."""
        found: dict[tuple[str, str], list[Pair]] = defaultdict(list)
        for (region, method, subject), values in self._values.items():
            real, synthetic = np.mean(values, axis=0)
            found[region, method].append(Pair(subject, float(real), float(synthetic)))
        return [
            Agreement(f"mean intensity, {region}", method, pairs)
            for (region, method), pairs in found.items()
        ]


def scored_agreements(evaluation: Evaluation) -> list[Agreement]:
    """Return the agreement of each metric with a real and a synthetic column in subjects.csv."""
    found = []
    for name in (name for name in evaluation.metrics if name.endswith(REAL)):
        stem = name.removesuffix(REAL)
        volume = " volume (ml)" if stem.endswith("_ml") else ""
        for region in evaluation.regions:
            for method in evaluation.methods:
                real = evaluation.by_subject(method, region, name)
                synthetic = evaluation.by_subject(method, region, stem + SYNTHETIC)
                pairs = [Pair(s, real[s], synthetic[s]) for s in real if s in synthetic]
                if pairs:
                    quantity = f"{words(stem.removesuffix('_ml'))}{volume}, {words(region)}"
                    found.append(Agreement(quantity, method, pairs))
    return found


def _regions(images: Images) -> dict[str, np.ndarray]:
    """Return the brain and, where the data set has labels, each tissue that is there."""
    regions = {"brain": images.mask}
    if images.labels is not None and images.labels.max() <= max(LABELS.values()):
        for tissue, title in TISSUES.items():
            voxels = images.labels == LABELS[tissue]
            if voxels.any():
                regions[title] = voxels
    return regions
