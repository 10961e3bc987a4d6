"""The receiver's shading."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mrcontrast.imaging.bias import correct_bias
from mrcontrast.imaging.itk import check_extra
from mrcontrast.preparation.operators.contrasts import CONTRASTS, brain_on, contrast_of
from mrcontrast.preparation.subject import Subject
from mrcontrast.storage.volume import Volume


@dataclass(frozen=True)
class CorrectBias:
    """Divide each contrast by the smooth gain that N4 finds in its brain.

    Measures ``flair_bias`` and ``t1w_bias``: standard deviation of the log of the gain.

    Attributes:
        contrasts: Which ones, of "flair" and "t1w".
        working_spacing_mm: The gain is estimated on voxels of about this size.
    """

    contrasts: Sequence[str] = CONTRASTS
    working_spacing_mm: float = 4.0

    def __post_init__(self) -> None:
        check_extra("SimpleITK", type(self).__name__)

    def __call__(self, subject: Subject) -> Subject:
        """Return the session without shading; without a mask the head decides.

        Raises:
            MrcontrastError: Nothing is positive in the mask, or SimpleITK is not installed.
        """
        done: dict[str, Any] = {}
        measures: dict[str, float] = {}
        for name in self.contrasts:
            volume = contrast_of(subject, name)
            region = _region(subject, name, volume)
            found = correct_bias(volume, region, working_spacing_mm=self.working_spacing_mm)
            done[name] = found.image
            measures[f"{name}_bias"] = round(found.strength, 4)
        return replace(subject, **done, measures=subject.measures | measures)


def _region(subject: Subject, name: str, volume: Volume) -> np.ndarray:
    """Return where the gain is estimated: the brain, or what is brighter than the mean."""
    if subject.brain_mask is not None:
        return brain_on(subject, name, subject.brain_mask)
    return np.asarray(volume.data > volume.data.mean())
