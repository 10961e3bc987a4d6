"""The brain mask, and intensities: shading is removed, and each contrast normalised."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from mrcontrast.data.contrasts import title_of
from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.imaging.bias import correct_bias
from mrcontrast.imaging.itk import check_extra
from mrcontrast.imaging.skull_strip import strip_skull
from mrcontrast.preparation.subject import DEFAULT, Subject
from mrcontrast.storage.volume import Volume
from mrcontrast.transforms.brain import brain_from_nonzero
from mrcontrast.transforms.grid import resample_to
from mrcontrast.transforms.normalise import Normaliser


@dataclass(frozen=True)
class BrainMask:
    """Keep the session's own brain mask, else take the non-zero voxels of the reference.

    The reference decides because a new subject to translate has no target contrast.
    """

    def __call__(self, subject: Subject) -> Subject:
        """Return the session with a mask; MrcontrastError if the reference has its skull."""
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
    """

    contrast: str = "t1w"
    keep_given: bool = True

    def __post_init__(self) -> None:
        check_extra("deepbet", type(self).__name__)

    def __call__(self, subject: Subject) -> Subject:
        """Return the session with a mask; MrcontrastError if deepbet finds no brain."""
        if self.keep_given and subject.brain_mask is not None:
            return subject
        volume, like = subject.image(self.contrast), subject.like
        share = Volume(strip_skull(volume).astype(np.float32), volume.affine)
        mask = resample_to(share, like.affine, like.shape) > 0.5
        if not mask.any():
            raise MrcontrastError(
                f"Expected the brain of the {title_of(self.contrast)} in the field of view of the "
                f"{title_of(subject.reference)}, got none of it. Register them before SkullStrip."
            )
        return replace(subject, brain_mask=mask)


@dataclass(frozen=True)
class CorrectBias:
    """Divide each contrast by the smooth gain that N4 finds in its brain.

    Measures ``flair_bias`` and so on: standard deviation of the log of the gain.

    Attributes:
        working_spacing_mm: Voxel size on which the gain is estimated, about.
    """

    working_spacing_mm: float = 4.0

    def __post_init__(self) -> None:
        check_extra("SimpleITK", type(self).__name__)

    def __call__(self, subject: Subject) -> Subject:
        """Return the session without shading; the head is the region where there is no mask."""
        images, measures = dict(subject.images), dict[str, float]()
        for name, volume in subject.images.items():
            if subject.brain_mask is not None:
                region = subject.brain_on(name)
            else:
                region = np.asarray(volume.data > volume.data.mean())
            images[name], strength = correct_bias(volume, region, self.working_spacing_mm)
            measures[f"{name}_bias"] = round(strength, 4)
        return replace(subject, images=images, measures=subject.measures | measures)


@dataclass(frozen=True)
class Normalise:
    """Scale each contrast on its own to [0, 1] in the brain, and set the rest to 0.

    Attributes:
        normalisers: Normaliser by contrast; "default" is used for contrasts without their own.
    """

    normalisers: Mapping[str, Normaliser]

    def __call__(self, subject: Subject) -> Subject:
        """Return the session scaled, with the fitted normalisers; the contrasts are on one grid."""
        subject.check_one_grid()
        images, fitted = {}, {}
        for name, volume in subject.images.items():
            fitted[name] = normaliser_of(self.normalisers, name).fit(volume.data, subject.brain)
            data = fitted[name].apply(volume.data) * subject.brain
            images[name] = replace(volume, data=data)
        return replace(subject, images=images, normalisers=fitted)


def normaliser_of(normalisers: Mapping[str, Normaliser], contrast: str) -> Normaliser:
    """Return the normaliser of a contrast, else the default one, else raise UsageError."""
    if (found := normalisers.get(contrast, normalisers.get(DEFAULT))) is None:
        raise UsageError(
            f"Expected a normaliser of {contrast}, got {', '.join(normalisers) or 'none'} "
            "(recipe.normalisers). Add it, or a default."
        )
    return found
