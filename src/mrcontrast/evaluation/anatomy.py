"""A real image with its brain, tissues and lesions, and a synthetic image scored against it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from mrcontrast.imaging.tissue_classes import TISSUES, WM, segment_tissues
from mrcontrast.metrics.lesions import lesion_contrast, surrounding_ring
from mrcontrast.metrics.metric import Metric, Pair
from mrcontrast.metrics.multiscale import SimilarityPyramid
from mrcontrast.metrics.score_regions import Scores, score, score_regions, score_slices
from mrcontrast.metrics.texture import gradient_magnitude, through_plane_share


@dataclass(frozen=True)
class Anatomy:
    """A real image with its brain and, where they are known, its lesions and tissue labels."""

    image: np.ndarray  # (X, Y, Z), in the units of the metrics
    brain: np.ndarray  # (X, Y, Z) bool, not empty
    spacing_mm: tuple[float, float, float]
    axial: int  # axis from foot to head
    lesions: np.ndarray | None = None  # (X, Y, Z) bool
    labels: np.ndarray | None = None  # (X, Y, Z), numbered as by ``segment_tissues``

    @cached_property
    def regions(self) -> dict[str, np.ndarray | None]:
        """Voxels of each region of this subject, (X, Y, Z) bool; None for the whole image."""
        found: dict[str, np.ndarray | None] = {"brain": self.brain, "image": None}
        parts = {}
        if self.lesions is not None:
            parts = {"lesion": self.brain & self.lesions, "healthy": self.brain & ~self.lesions}
        if self.labels is not None:
            parts |= {name: self.brain & (self.labels == value) for name, value in TISSUES.items()}
        return found | {name: voxels for name, voxels in parts.items() if voxels.any()}

    @cached_property
    def tissues(self) -> np.ndarray:
        """Tissues of the real image, (X, Y, Z) uint8, segmented as those of synthetic images."""
        return segment_tissues(self.image, self.brain, self.spacing_mm)

    @cached_property
    def ring(self) -> np.ndarray:
        """White matter around the lesions, (X, Y, Z) bool; empty without lesions."""
        if self.lesions is None:
            return np.zeros_like(self.brain)
        labels = self.tissues if self.labels is None else self.labels
        lesions = self.brain & self.lesions
        return surrounding_ring(lesions, self.brain & (labels == WM) & ~lesions, self.spacing_mm)

    @cached_property
    def gradient(self) -> np.ndarray:
        """|Gradient| of the real image inside the brain, (N,), sorted, per mm."""
        return np.sort(gradient_magnitude(self.image, self.brain, self.spacing_mm))

    @cached_property
    def through_plane(self) -> float:
        """Gradient across slices over gradient within slices, of the real image."""
        return self.across(self.image)

    def across(self, image: np.ndarray) -> float:
        """Return ``through_plane`` of any image on this grid (X, Y, Z)."""
        return through_plane_share(image, self.brain, self.spacing_mm, self.axial)


@dataclass(frozen=True)
class AnatomyPair(Pair):
    """A pair of volumes (X, Y, Z) with the anatomy of the real one."""

    anatomy: Anatomy

    @cached_property
    def gradient(self) -> np.ndarray:
        """|Gradient| of the synthetic image inside the brain, (N,), per mm."""
        anatomy = self.anatomy
        return gradient_magnitude(self.prediction, anatomy.brain, anatomy.spacing_mm)

    @cached_property
    def tissues(self) -> np.ndarray:
        """Tissues of the synthetic image, (X, Y, Z) uint8."""
        return segment_tissues(self.prediction, self.anatomy.brain, self.anatomy.spacing_mm)

    @cached_property
    def lesion_contrasts(self) -> tuple[float, float] | None:
        """Contrast of the lesions in the real and the synthetic image; None if undefined."""
        if self.anatomy.lesions is None:
            return None
        lesions, ring = self.anatomy.brain & self.anatomy.lesions, self.anatomy.ring
        real, ours = (lesion_contrast(i, lesions, ring) for i in (self.target, self.prediction))
        return None if np.isnan(real) else (real, ours)


def score_volume(
    image: np.ndarray,
    anatomy: Anatomy,
    metrics: Sequence[Metric],
    intensity_range: tuple[float, float],
    num_scales: int,
    dims: int = 3,
) -> dict[str, Scores]:
    """Return the metrics of a synthetic volume by region.

    Image (X, Y, Z) and intensity range are on the grid and in the units of the real image.
    ``dims`` of 2 averages the metrics of regions over axial slices.
    """
    low, high = intensity_range
    maps = SimilarityPyramid(image, anatomy.image, high - low, num_scales)
    pair = AnatomyPair(image, anatomy.image, None, intensity_range, maps, anatomy)
    for_regions = [metric for metric in metrics if metric.per == "region"]
    if dims == 3:
        found = score_regions(pair, anatomy.regions, for_regions)
    else:
        found = score_slices(pair, anatomy.regions, for_regions, anatomy.axial)
    for region in ("brain", "lesion"):
        if region in found:
            own = [metric for metric in metrics if metric.per == region]
            found[region] |= score(replace(pair, mask=anatomy.regions[region]), own)
    return found
