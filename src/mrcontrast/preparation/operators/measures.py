"""Measures that change nothing; ``Require`` filters by them."""

from dataclasses import dataclass, replace

import numpy as np

from mrcontrast.imaging.quality import measure_quality
from mrcontrast.preparation.subject import Subject


@dataclass(frozen=True)
class MeasureVolumes:
    """Measure ``brain_ml`` and, where lesions are known, ``lesion_ml`` on the current grid."""

    def __call__(self, subject: Subject) -> Subject:
        """Return the session with its measures."""
        voxel_ml = float(np.prod(subject.like.spacing_mm)) / 1000
        measures = {"brain_ml": round(float(subject.brain.sum()) * voxel_ml, 3)}
        if subject.lesion_mask is not None:
            measures["lesion_ml"] = round(float(subject.lesion_mask.sum()) * voxel_ml, 3)
        return replace(subject, measures=subject.measures | measures)


@dataclass(frozen=True)
class MeasureGeometry:
    """Measure the voxels and the field of view of each contrast.

    ``flair_spacing_max_mm``, ``flair_spacing_min_mm``, ``flair_fov_min_mm`` (the least of the three
    extents), and the same for the others.
    """

    def __call__(self, subject: Subject) -> Subject:
        """Return the session with its measures."""
        measures = {}
        for name, volume in subject.images.items():
            spacing = np.array(volume.spacing_mm)
            measures[f"{name}_spacing_min_mm"] = round(float(spacing.min()), 4)
            measures[f"{name}_spacing_max_mm"] = round(float(spacing.max()), 4)
            extents = spacing * np.array(volume.shape)
            measures[f"{name}_fov_min_mm"] = round(float(extents.min()), 2)
        return replace(subject, measures=subject.measures | measures)


@dataclass(frozen=True)
class MeasureQuality:
    """Measure noise and contrast of each image in the brain: see ``imaging.quality``.

    ``flair_snr``, ``flair_contrast``, ``flair_cnr``, ``flair_fov_margin_mm`` (0: the brain may be
    cut off), ``flair_saturated_fraction`` and others, and the same for the other contrasts.
    """

    def __call__(self, subject: Subject) -> Subject:
        """Return the session with its measures.

        Raises:
            MrcontrastError: There is no mask, or nothing of it is in a field of view.
        """
        measures: dict[str, float] = {}
        for name, volume in subject.images.items():
            found = measure_quality(volume, subject.brain_on(name))
            measures |= {f"{name}_{key}": float(f"{value:.5g}") for key, value in found.items()}
        return replace(subject, measures=subject.measures | measures)
