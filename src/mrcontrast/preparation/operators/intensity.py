"""Intensities: shading is removed, and each contrast scaled by a named, invertible map."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mrcontrast.errors import UsageError
from mrcontrast.imaging.bias import correct_bias
from mrcontrast.imaging.itk import check_extra
from mrcontrast.preparation.subject import DEFAULT, Subject
from mrcontrast.transforms.normalise import Normaliser


@dataclass(frozen=True)
class CorrectBias:
    """Divide each contrast by the smooth gain that N4 finds in its brain.

    Measures ``flair_bias`` and so on: standard deviation of the log of the gain.

    Attributes:
        contrasts: Contrasts to correct; None: all.
        working_spacing_mm: Voxel size on which the gain is estimated, about.
    """

    contrasts: Sequence[str] | None = None
    working_spacing_mm: float = 4.0

    def __post_init__(self) -> None:
        check_extra("SimpleITK", type(self).__name__)

    def __call__(self, subject: Subject) -> Subject:
        """Return the session without shading; the head is the region where there is no mask.

        Raises:
            MrcontrastError: Nothing is positive in the mask, or SimpleITK is not installed.
        """
        images, measures = dict(subject.images), dict[str, float]()
        for name in self.contrasts or images:
            volume = subject.image(name)
            if subject.brain_mask is not None:
                region = subject.brain_on(name)
            else:
                region = np.asarray(volume.data > volume.data.mean())
            found = correct_bias(volume, region, working_spacing_mm=self.working_spacing_mm)
            images[name] = found.image
            measures[f"{name}_bias"] = round(found.strength, 4)
        return replace(subject, images=images, measures=subject.measures | measures)


@dataclass(frozen=True)
class Normalise:
    """Scale each contrast on its own to [0, 1] in the brain, and set the rest to 0.

    Attributes:
        normalisers: Normaliser by contrast; "default" is used for contrasts without their own.
    """

    normalisers: Mapping[str, Normaliser]

    def __call__(self, subject: Subject) -> Subject:
        """Return the session scaled, with the fitted normalisers.

        Raises:
            MrcontrastError: Intensities do not vary in the brain, or the grids differ.
            UsageError: A contrast has no normaliser.
        """
        subject.check_one_grid()
        images, fitted = {}, {}
        for name, volume in subject.images.items():
            fitted[name] = normaliser_of(self.normalisers, name).fit(volume.data, subject.brain)
            data = fitted[name].apply(volume.data) * subject.brain
            images[name] = replace(volume, data=data)
        return replace(subject, images=images, normalisers=fitted)


def normaliser_of(normalisers: Mapping[str, Normaliser], contrast: str) -> Normaliser:
    """Return the normaliser of a contrast.

    Raises:
        UsageError: There is neither one of its own nor a default.
    """
    if (found := normalisers.get(contrast, normalisers.get(DEFAULT))) is None:
        raise UsageError(
            f"Expected a normaliser of {contrast}, got {', '.join(normalisers) or 'none'} "
            "(recipe.normalisers). Add it, or a default."
        )
    return found
