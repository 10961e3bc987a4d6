"""The brain mask."""

from dataclasses import dataclass, replace

import numpy as np

from mrcontrast.data.contrasts import title_of
from mrcontrast.errors import MrcontrastError
from mrcontrast.imaging.itk import check_extra
from mrcontrast.imaging.skull_strip import strip_skull
from mrcontrast.preparation.subject import Subject
from mrcontrast.storage.volume import Volume
from mrcontrast.transforms.brain import brain_from_nonzero
from mrcontrast.transforms.grid import resample_to


@dataclass(frozen=True)
class BrainMask:
    """Keep the session's own brain mask, else take the non-zero voxels of the reference.

    The reference decides because a new subject to translate has no target contrast.
    """

    def __call__(self, subject: Subject) -> Subject:
        """Return the session with a mask.

        Raises:
            MrcontrastError: There is no mask, and the reference is not skull-stripped: hardly a
                voxel is zero, or more than 2600 ml are not.
        """
        if subject.brain_mask is not None:
            return subject
        return replace(subject, brain_mask=brain_from_nonzero(subject.like))


@dataclass(frozen=True)
class SkullStrip:
    """Find the brain of heads with deepbet, and carry the mask to the grid of the reference.

    deepbet is trained on T1w images, so register them before.

    Attributes:
        contrast: Input of deepbet.
        keep_given: Keep a mask that came with the session.
        threshold: Least probability of the brain, in (0, 1).
        dilations: Voxels by which the mask grows; negative shrinks it.
    """

    contrast: str = "t1w"
    keep_given: bool = True
    threshold: float = 0.5
    dilations: int = 0

    def __post_init__(self) -> None:
        check_extra("deepbet", type(self).__name__)

    def __call__(self, subject: Subject) -> Subject:
        """Return the session with a mask; no intensity changes.

        Raises:
            MrcontrastError: deepbet finds no brain or is not installed.
        """
        if self.keep_given and subject.brain_mask is not None:
            return subject
        volume, like = subject.image(self.contrast), subject.like
        found = strip_skull(volume, threshold=self.threshold, dilations=self.dilations)
        share = Volume(found.astype(np.float32), volume.affine)
        mask = resample_to(share, like.affine, like.shape) > 0.5
        if not mask.any():
            raise MrcontrastError(
                f"Expected the brain of the {title_of(self.contrast)} in the field of view of the "
                f"{title_of(subject.reference)}, got none of it. Register them before SkullStrip."
            )
        return replace(subject, brain_mask=mask)
