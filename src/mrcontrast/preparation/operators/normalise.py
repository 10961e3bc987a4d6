"""Intensities to [0, 1] by a named, stored and invertible map."""

from dataclasses import dataclass, replace

from mrcontrast.preparation.operators.contrasts import need_one_grid
from mrcontrast.preparation.operators.masks import brain_of
from mrcontrast.preparation.subject import Subject
from mrcontrast.transforms.normalise import Normaliser


@dataclass(frozen=True)
class Normalise:
    """Scale both contrasts to [0, 1] in the brain, each on its own, and set the rest to 0.

    Attributes:
        flair: Fitted to the FLAIR of each session.
        t1w: Fitted to the T1w of each session.
    """

    flair: Normaliser
    t1w: Normaliser

    def __call__(self, subject: Subject) -> Subject:
        """Return the session scaled, with the fitted normalisers.

        Raises:
            MrcontrastError: The intensities do not vary in the brain, or the contrasts lie on
                grids of their own.
        """
        need_one_grid(subject)
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
