"""Where the brain is."""

from dataclasses import dataclass, replace

import numpy as np

from mrcontrast.errors import MrcontrastError
from mrcontrast.imaging.itk import check_extra
from mrcontrast.imaging.skull_strip import strip_skull
from mrcontrast.preparation.operators.contrasts import contrast_of
from mrcontrast.preparation.subject import Subject
from mrcontrast.storage.volume import Volume
from mrcontrast.transforms.brain import brain_from_nonzero
from mrcontrast.transforms.grid import resample_to


@dataclass(frozen=True)
class BrainMask:
    """Keep the brain mask that came with the pair, else take the non-zero voxels of the FLAIR.

    The FLAIR decides because a new subject to translate has nothing else.
    """

    def __call__(self, subject: Subject) -> Subject:
        """Return the session with a mask.

        Raises:
            MrcontrastError: There is no mask, and the FLAIR is not skull-stripped: hardly a voxel
                is zero, or more than 2600 ml are not, as in a head on a background of zeros.
        """
        if subject.brain_mask is not None:
            return subject
        return replace(subject, brain_mask=brain_from_nonzero(subject.flair))


@dataclass(frozen=True)
class SkullStrip:
    """Find the brain of heads with deepbet; the mask is carried to the grid of the FLAIR.

    deepbet is trained on T1w images, so the T1w should be registered to the FLAIR before.

    Attributes:
        contrast: "t1w" or "flair": which one deepbet looks at.
        keep_given: Keep a mask that came with the pair.
        threshold: Least probability of the brain, in (0, 1).
        dilations: Voxels that the mask grows by; negative shrinks it.
    """

    contrast: str = "t1w"
    keep_given: bool = True
    threshold: float = 0.5
    dilations: int = 0

    def __post_init__(self) -> None:
        check_extra("deepbet", type(self).__name__)

    def __call__(self, subject: Subject) -> Subject:
        """Return the session with a mask; no intensity is changed.

        Raises:
            MrcontrastError: deepbet finds no brain or is not installed.
        """
        if self.keep_given and subject.brain_mask is not None:
            return subject
        volume = contrast_of(subject, self.contrast)
        found = strip_skull(volume, threshold=self.threshold, dilations=self.dilations)
        share, like = Volume(found.astype(np.float32), volume.affine), subject.flair
        inside = resample_to(share, like.affine, like.shape)
        if not (mask := inside > 0.5).any():
            raise MrcontrastError(
                f"Expected the brain of the {self.contrast} within the FLAIR's field of view, got "
                "none of it. Register the two before SkullStrip."
            )
        return replace(subject, brain_mask=mask)


def brain_of(subject: Subject) -> np.ndarray:
    """Return the brain mask, (X, Y, Z), bool.

    Raises:
        MrcontrastError: No operator has found it.
    """
    if subject.brain_mask is None:
        raise MrcontrastError(
            "Expected a brain mask, got none. Put "
            "mrcontrast.preparation.operators.BrainMask into recipe.operators."
        )
    return subject.brain_mask
