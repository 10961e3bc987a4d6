"""Do the two contrasts overlay? Asked before training sees them, and again after ``Register``."""

from dataclasses import dataclass, replace

from mrcontrast.imaging.alignment import (
    DISPLACEMENT_LIMIT_MM,
    RESIDUAL_LIMIT_MM,
    check_alignment,
)
from mrcontrast.preparation.subject import RefusedError, Subject


@dataclass(frozen=True)
class CheckAlignment:
    """Measure how far the T1w lies from the FLAIR as both stand in the world; drop what is off.

    Measures ``alignment_displacement_mm`` (how far a rigid motion would still move the brain: root
    mean square over its voxels), ``alignment_residual_mm`` (by how much two brains disagree that no
    motion brings together), ``alignment_similarity``, ``alignment_overlap`` and
    ``alignment_suspicion`` (above 1 the pair does not overlay). More stands in
    ``mrcontrast.imaging.alignment``.

    Attributes:
        displacement_limit_mm: Largest displacement of a pair that stays.
        residual_limit_mm: Largest residual of a pair that stays.
        drop: False only measures: before ``Register``, say.
        prefix: Of the measures' names, so that two checks do not overwrite each other.
    """

    displacement_limit_mm: float = DISPLACEMENT_LIMIT_MM
    residual_limit_mm: float = RESIDUAL_LIMIT_MM
    drop: bool = True
    prefix: str = "alignment"

    def __call__(self, subject: Subject) -> Subject:
        """Return the session with its measures.

        Raises:
            RefusedError: The pair does not overlay.
            MrcontrastError: The T1w covers less than half of the brain, or too little of a brain is
                there to compare. Without a mask the foreground of the FLAIR is taken for it.
        """
        limits = (self.displacement_limit_mm, self.residual_limit_mm)
        found = check_alignment(subject.flair, subject.t1w, subject.brain_mask, *limits)
        measures = {
            f"{self.prefix}_{name}": float(f"{value:.4g}")
            for name, value in found.measures().items()
        }
        if self.drop and not found.aligned:
            raise RefusedError(
                f"Expected a T1w that overlays its FLAIR, got one {found.displacement_mm:.1f} mm "
                f"off, with a residual of {found.residual_mm:.1f} mm and {found.overlap:.0%} of "
                "the brain covered. Put Register before CheckAlignment, or leave the pair out.",
                f"{self.prefix}_suspicion",
                measures[f"{self.prefix}_suspicion"],
                "<= 1",
            )
        return replace(subject, measures=subject.measures | measures)
