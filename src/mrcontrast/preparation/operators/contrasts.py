"""The two contrasts of a session by name, and whether they share a grid."""

from dataclasses import replace

import numpy as np

from mrcontrast.errors import UsageError
from mrcontrast.preparation.subject import Subject
from mrcontrast.storage.volume import Volume, same_grid
from mrcontrast.transforms.grid import resample_to

CONTRASTS = ("flair", "t1w")


def contrast_of(subject: Subject, name: str) -> Volume:
    """Return the FLAIR or the T1w.

    Raises:
        UsageError: There is no such contrast.
    """
    check_contrast(name)
    return subject.flair if name == "flair" else subject.t1w


def check_contrast(name: str) -> None:
    """Refuse another name than "flair" or "t1w"."""
    if name not in CONTRASTS:
        raise UsageError(f'Expected flair or t1w, got "{name}" (recipe.operators). Change it.')


def with_contrasts(subject: Subject, flair: Volume, t1w: Volume) -> Subject:
    """Return the session with other volumes, masks and labels as they are."""
    return replace(subject, flair=flair, t1w=t1w)


def brain_on(subject: Subject, name: str, mask: np.ndarray) -> np.ndarray:
    """Return the brain mask (X, Y, Z), bool, on the grid of one contrast."""
    volume = contrast_of(subject, name)
    if name == "flair" or shares_grid(subject):
        return mask
    share = Volume(mask.astype(np.float32), subject.flair.affine)
    return resample_to(share, volume.affine, volume.shape) > 0.5


def shares_grid(subject: Subject) -> bool:
    """Return whether both contrasts have the same voxels."""
    same = subject.flair.shape == subject.t1w.shape
    return same and bool(np.allclose(subject.flair.affine, subject.t1w.affine, atol=1e-4))


def need_one_grid(subject: Subject) -> None:
    """Refuse a session whose contrasts still lie on grids of their own.

    Raises:
        MrcontrastError: They do; the difference is named.
    """
    same_grid(subject.flair, subject.t1w, "the FLAIR", "the T1w")
