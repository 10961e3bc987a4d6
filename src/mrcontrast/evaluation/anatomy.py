"""What is known of one real image: its regions, tissues, lesions and texture, found once."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mrcontrast.imaging.tissue_classes import TISSUES, WM, segment_tissues
from mrcontrast.metrics.lesions import lesion_contrast, surrounding_ring
from mrcontrast.metrics.overlap import dice, volume_change_percent, volume_ml
from mrcontrast.metrics.panel import Scores
from mrcontrast.metrics.texture import (
    gradient_magnitude,
    histogram_distance,
    sorted_distance,
    through_plane_share,
)


@dataclass(frozen=True)
class Anatomy:
    """A real T1w image with its brain and, where they are known, its lesions and tissue labels.

    Attributes:
        image: (X, Y, Z), in the units in which metrics are computed.
        brain: (X, Y, Z) bool, not empty.
        spacing_mm: Distance of neighbouring voxels along each axis.
        axial: The axis that runs from foot to head.
        lesions: (X, Y, Z) bool, or None if nobody has looked for any.
        labels: (X, Y, Z) tissue labels as ``segment_tissues`` numbers them, or None.
    """

    image: np.ndarray
    brain: np.ndarray
    spacing_mm: tuple[float, float, float]
    axial: int
    lesions: np.ndarray | None = None
    labels: np.ndarray | None = None

    @cached_property
    def regions(self) -> dict[str, np.ndarray | None]:
        """Voxels of each region that this subject has, (X, Y, Z) bool; None for the whole image."""
        found: dict[str, np.ndarray | None] = {"brain": self.brain, "image": None}
        parts = {}
        if self.lesions is not None:
            parts = {"lesion": self.brain & self.lesions, "healthy": self.brain & ~self.lesions}
        if self.labels is not None:
            parts |= {name: self.brain & (self.labels == value) for name, value in TISSUES.items()}
        return found | {name: voxels for name, voxels in parts.items() if voxels.any()}

    @cached_property
    def tissues(self) -> np.ndarray:
        """Tissues of the real image, (X, Y, Z) uint8, by the method used on synthetic ones."""
        return segment_tissues(self.image, self.brain, self.spacing_mm)

    @cached_property
    def ring(self) -> np.ndarray:
        """Healthy white matter around the lesions, (X, Y, Z) bool; none without lesions."""
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
        """Gradient across slices over that within them, of the real image."""
        return self._across(self.image)

    def compare_texture(self, image: np.ndarray) -> Scores:
        """Return histogram, sharpness and through-plane measures of a synthetic image (X, Y, Z)."""
        gradient = gradient_magnitude(image, self.brain, self.spacing_mm)
        real = float(self.gradient.mean()) if len(self.gradient) else 0.0
        return {
            "histogram_w1": histogram_distance(image, self.image, self.brain),
            "gradient_w1": sorted_distance(gradient, self.gradient),
            "sharpness": _ratio(float(gradient.mean()) if real else 0.0, real),
            "through_plane": _ratio(self._across(image), self.through_plane),
        }

    def compare_tissues(self, image: np.ndarray) -> Scores:
        """Return Dice and volumes of CSF, GM and WM of a synthetic image (X, Y, Z)."""
        found = segment_tissues(image, self.brain, self.spacing_mm)
        scores: Scores = {}
        for name, value in TISSUES.items():
            ours, theirs = found == value, self.tissues == value
            volumes = [volume_ml(mask, self.spacing_mm) for mask in (theirs, ours)]
            scores[f"dice_{name}"] = dice(ours, theirs)
            scores[f"volume_{name}"] = volume_change_percent(volumes[1], volumes[0])
            scores[f"{name}_ml_real"], scores[f"{name}_ml_synthetic"] = volumes
        return scores

    def compare_lesions(self, image: np.ndarray) -> Scores:
        """Return the contrast of the lesions in the real and a synthetic image; {} without any."""
        if self.lesions is None:
            return {}
        lesions = self.brain & self.lesions
        real, synthetic = (lesion_contrast(i, lesions, self.ring) for i in (self.image, image))
        if np.isnan(real):
            return {}
        return {
            "contrast_real": real,
            "contrast_synthetic": synthetic,
            "contrast_error": abs(synthetic - real),
            "contrast_kept": _ratio(synthetic, real),
        }

    def _across(self, image: np.ndarray) -> float:
        return through_plane_share(image, self.brain, self.spacing_mm, self.axial)


def _ratio(synthetic: float, real: float) -> float:
    """Return synthetic / real; NaN if the real value is 0."""
    return synthetic / real if real else float("nan")
