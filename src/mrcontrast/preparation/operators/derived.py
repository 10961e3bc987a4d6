"""Further contrasts of a session, made from what it has: edges, labels and lesions."""

import math
from dataclasses import dataclass, replace

import numpy as np
from skimage.feature import canny

from mrcontrast.errors import UsageError
from mrcontrast.preparation.subject import Subject, check_contrasts
from mrcontrast.transforms.normalise import UnitNormaliser

KINDS = {"labels": "labelmap", "lesion_mask": "lesions"}


@dataclass(frozen=True)
class Edges:
    """Add the edges of a contrast on axial slices of its brain, 0 or 1, as a contrast.

    Put it after Normalise.

    Attributes:
        of: Contrast whose edges are found.
        sigma: Standard deviation of the Gaussian before the gradient, in voxels.
        name: Of the new contrast.

    Source: Canny 1986, IEEE PAMI 8:679, by scikit-image.
    """

    of: str
    sigma: float = 1.0
    name: str = "edges"

    def __post_init__(self) -> None:
        check_contrasts([self.of, self.name])
        if not 0 <= self.sigma < math.inf:
            raise UsageError(f"Expected a sigma of 0 or more, got {self.sigma:g} (Edges).")

    def __call__(self, subject: Subject) -> Subject:
        """Return the session with one contrast more; raise MrcontrastError without a brain mask."""
        pairs = zip(subject.image(self.of).data.T, subject.brain_on(self.of).T, strict=True)
        found = [canny(image, self.sigma, mask=inside) for image, inside in pairs]
        return with_contrast(subject, self.name, np.stack(found).T)


@dataclass(frozen=True)
class AsContrast:
    """Add the labels or the lesion mask of a session as a contrast in [0, 1].

    Put it after Normalise. Labels are divided by ``highest``. A session without them lacks the
    contrast.

    Attributes:
        kind: "labels" or "lesion_mask".
        highest: Highest label, the same for all sessions.
        name: Of the new contrast; None takes "labelmap" or "lesions".
    """

    kind: str = "labels"
    highest: int = 1
    name: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS or self.highest < 1:
            raise UsageError(
                f"Expected {' or '.join(KINDS)} and a highest of 1 or more, got {self.kind} and "
                f"{self.highest} (AsContrast). Change them."
            )
        check_contrasts([self.made])

    @property
    def made(self) -> str:
        """Name of the new contrast."""
        return self.name or KINDS[self.kind]

    def __call__(self, subject: Subject) -> Subject:
        """Return the session with one contrast more, if it has labels.

        Raises:
            UsageError: A label is above ``highest``.
        """
        labels = getattr(subject, self.kind)
        if labels is None:
            return subject
        if (most := int(labels.max())) > self.highest:
            raise UsageError(
                f"Expected labels up to {self.highest}, got {most} (AsContrast). Set highest of "
                f"{most} or more, the same for all sessions."
            )
        return with_contrast(subject, self.made, labels / self.highest * subject.brain)


def with_contrast(subject: Subject, name: str, data: np.ndarray) -> Subject:
    """Return a session with one contrast more, (X, Y, Z) in [0, 1] on the grid of the others.

    Raises:
        UsageError: The session has one of this name, or its contrasts are not normalised yet.
    """
    if name in subject.images or not subject.normalisers:
        fault = "one of its own" if name in subject.images else "none that is normalised"
        raise UsageError(
            f"Expected contrasts beside {name} after Normalise, got {fault} (recipe.operators)."
        )
    volume = replace(subject.like, data=np.asarray(data, np.float32))
    return replace(
        subject,
        images={**subject.images, name: volume},
        normalisers={**subject.normalisers, name: UnitNormaliser().fit(volume.data, subject.brain)},
    )
