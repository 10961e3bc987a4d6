"""Steps on one session, each a small class; a recipe lists the optional ones in order."""

from dataclasses import dataclass, replace

import numpy as np

from mrcontrast.errors import MrcontrastError
from mrcontrast.preparation.subject import Subject
from mrcontrast.transforms.grid import (
    ModelGrid,
    mask_from_nonzero,
    resample_labels,
    resample_to,
)
from mrcontrast.transforms.normalise import PercentileNormaliser
from mrcontrast.volume import Volume


@dataclass(frozen=True)
class BrainMask:
    """Keep the brain mask that came with the pair, else take the non-zero voxels of the FLAIR.

    The FLAIR decides because a new subject to translate has nothing else.
    """

    def __call__(self, subject: Subject) -> Subject:
        """Return the session with a mask.

        Raises:
            MrcontrastError: The mask is empty, or the FLAIR is not skull-stripped.
        """
        mask = subject.brain_mask
        mask = mask_from_nonzero(subject.flair) if mask is None else mask
        return replace(subject, brain_mask=mask)


@dataclass(frozen=True)
class ToGrid:
    """Bring everything to the grid of the models; labels and masks stay whole numbers.

    Attributes:
        grid: The same for all subjects.
    """

    grid: ModelGrid

    def __call__(self, subject: Subject) -> Subject:
        """Return the session on the grid, centred on its brain.

        Raises:
            MrcontrastError: There is no mask, it is empty, or the brain does not fit the grid.
        """
        source = subject.flair.affine
        affine, shape = self.grid.place(subject.flair, brain_of(subject))
        if shape != self.grid.shape:
            raise MrcontrastError(
                f"Expected a brain that fits {self.grid.shape} voxels of {self.grid.spacing_mm} "
                f"mm, got one that needs {shape}. Enlarge recipe.grid.shape or check the mask."
            )

        def moved(data: np.ndarray) -> np.ndarray:
            return resample_to(Volume(data, source), affine, shape)

        def moved_mask(mask: np.ndarray | None) -> np.ndarray | None:
            return None if mask is None else moved(mask.astype(np.float32)) > 0.5

        labels = subject.labels
        return replace(
            subject,
            flair=Volume(moved(subject.flair.data), affine),
            t1w=Volume(moved(subject.t1w.data), affine),
            brain_mask=moved_mask(subject.brain_mask),
            lesion_mask=moved_mask(subject.lesion_mask),
            labels=None if labels is None else resample_labels(labels, source, affine, shape),
        )


@dataclass(frozen=True)
class Normalise:
    """Scale both contrasts to [0, 1] in the brain, each on its own, and set the rest to 0.

    Attributes:
        flair: Fitted to the FLAIR of each session.
        t1w: Fitted to the T1w of each session.
    """

    flair: PercentileNormaliser
    t1w: PercentileNormaliser

    def __call__(self, subject: Subject) -> Subject:
        """Return the session scaled, with the fitted normalisers.

        Raises:
            MrcontrastError: The intensities do not vary in the brain.
        """
        mask = brain_of(subject)
        fitted = {
            "flair": self.flair.fit(subject.flair.data, mask),
            "t1w": self.t1w.fit(subject.t1w.data, mask),
        }
        return replace(
            subject,
            flair=replace(subject.flair, data=fitted["flair"].apply(subject.flair.data) * mask),
            t1w=replace(subject.t1w, data=fitted["t1w"].apply(subject.t1w.data) * mask),
            normalisers=fitted,
        )


@dataclass(frozen=True)
class MeasureVolumes:
    """Measure ``brain_ml`` and, where lesions are known, ``lesion_ml`` on the current grid."""

    def __call__(self, subject: Subject) -> Subject:
        """Return the session with its measures."""
        voxel_ml = float(np.prod(subject.flair.spacing_mm)) / 1000
        measures = {"brain_ml": round(float(brain_of(subject).sum()) * voxel_ml, 3)}
        if subject.lesion_mask is not None:
            measures["lesion_ml"] = round(float(subject.lesion_mask.sum()) * voxel_ml, 3)
        return replace(subject, measures=subject.measures | measures)


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
