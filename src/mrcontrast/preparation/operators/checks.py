"""Measures of a session, and checks that drop it: headers, overlay, bounds of measures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mrcontrast.data.contrasts import title_of
from mrcontrast.errors import UsageError
from mrcontrast.imaging.alignment import (
    DISPLACEMENT_LIMIT_MM,
    RESIDUAL_LIMIT_MM,
    check_alignment,
)
from mrcontrast.imaging.header import ERROR, WARNING, check_header
from mrcontrast.imaging.quality import measure_quality
from mrcontrast.preparation.subject import RefusedError, Subject, prefixed


@dataclass(frozen=True)
class CheckHeader:
    """Refuse files with a broken header before voxels are read; record what is suspicious.

    Measures ``flair_header`` and so on, one a file: the suspicious facts in words, "" if none.

    Attributes:
        refuse: Suspicious facts that also drop a session, such as "qform_sform_mm", "units",
            "negative_spacing", "sheared", "offset_mm"; see ``mrcontrast.imaging.header``.
    """

    refuse: Sequence[str] = ()

    def inspect(self, files: Mapping[str, Path]) -> dict[str, Any]:
        """Return the measures of a session's files, by contrast and mask.

        RefusedError means a broken header or a fact that ``refuse`` names.
        """
        measures = {}
        for name, path in files.items():
            findings = check_header(path)
            for finding in findings:
                listed = finding.severity == WARNING and finding.name in self.refuse
                if finding.severity == ERROR or listed:
                    text = (
                        f"Expected a sound header, got {finding.name} {finding.value} ({path}). "
                        "Repair or convert the file."
                    )
                    raise RefusedError(text, f"{name}_{finding.name}", finding.value, "sound")
            noted = [f"{f.name} {f.value}" for f in findings if f.severity == WARNING]
            measures[f"{name}_header"] = "; ".join(noted)
        return measures

    def __call__(self, subject: Subject) -> Subject:
        """Return the session as it is; ``inspect`` has done the work."""
        return subject


@dataclass(frozen=True)
class CheckAlignment:
    """Measure how far each contrast is from the reference in world space; drop what is off.

    Measures ``alignment_displacement_mm`` (root mean square over the brain of the rigid motion that
    is left), ``alignment_residual_mm`` (disagreement after any motion), ``alignment_similarity``,
    ``alignment_overlap`` and ``alignment_suspicion`` (above 1 the two do not overlay); with more
    than two contrasts ``alignment_t2w_...``. See ``mrcontrast.imaging.alignment``.

    Attributes:
        displacement_limit_mm: Largest accepted displacement.
        residual_limit_mm: Largest accepted residual.
        drop: False measures only, before ``Register`` for instance.
        prefix: Start of the measures' names, so that two checks do not overwrite each other.
    """

    displacement_limit_mm: float = DISPLACEMENT_LIMIT_MM
    residual_limit_mm: float = RESIDUAL_LIMIT_MM
    drop: bool = True
    prefix: str = "alignment"

    def __call__(self, subject: Subject) -> Subject:
        """Return the session with its measures.

        Without a mask, the foreground of the reference is used. RefusedError: a contrast does not
        overlay the reference; MrcontrastError: there is too little of a brain to compare.
        """
        limits = (self.displacement_limit_mm, self.residual_limit_mm)
        measures: dict[str, float] = {}
        for name in list(subject.images)[1:]:
            moved = subject.images[name]
            found = check_alignment(subject.like, moved, subject.brain_mask, *limits)
            own = prefixed(self.prefix, name, subject, found.measures(), digits=4)
            measures |= own
            if self.drop and not found.aligned:
                raise RefusedError(
                    f"Expected a {title_of(name)} that overlays its {title_of(subject.reference)}, "
                    f"got one {found.displacement_mm:.1f} mm off, with a residual of "
                    f"{found.residual_mm:.1f} mm and {found.overlap:.0%} of the brain covered. Put "
                    "Register before CheckAlignment, or leave the pair out.",
                    *list(own.items())[-1],
                    "<= 1",
                )
        return replace(subject, measures=subject.measures | measures)


@dataclass(frozen=True)
class Require:
    """Drop sessions with a measure out of bounds; UsageError if there is no bound.

    Attributes:
        measure: Measure of an earlier operator, such as "flair_snr".
        least: Lowest accepted value; None: no bound.
        most: Highest accepted value; None: no bound.
    """

    measure: str
    least: float | None = None
    most: float | None = None

    def __post_init__(self) -> None:
        if self.least is None and self.most is None:
            raise UsageError(
                f"Expected a bound, got none (Require {self.measure}). Give least or most."
            )

    def __call__(self, subject: Subject) -> Subject:
        """Return the session, or raise RefusedError; UsageError if there is no such measure."""
        if self.measure not in subject.measures:
            known = ", ".join(sorted(subject.measures)) or "nothing"
            raise UsageError(
                f"Expected a measure among {known}, got {self.measure} (Require). "
                "Measure it with an operator before."
            )
        value = float(subject.measures[self.measure])
        if self.least is not None and not value >= self.least:
            raise self._refusal(value, f">= {self.least:g}")
        if self.most is not None and not value <= self.most:
            raise self._refusal(value, f"<= {self.most:g}")
        return subject

    def _refusal(self, value: float, threshold: str) -> RefusedError:
        text = f"Expected {self.measure} {threshold}, got {value:.4g}. Look at the scan."
        return RefusedError(text, self.measure, value, threshold)


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
        """Return the session with its measures; its mask must be in each field of view."""
        measures: dict[str, float] = {}
        for name, volume in subject.images.items():
            found = measure_quality(volume, subject.brain_on(name))
            measures |= {f"{name}_{key}": float(f"{value:.5g}") for key, value in found.items()}
        return replace(subject, measures=subject.measures | measures)
