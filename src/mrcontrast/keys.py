"""Names, shapes, units and ranges of everything that travels in a batch.

Axes, once for the whole project: ``B`` batch, ``C`` channels, ``*S`` two or three spatial axes
in RAS order (x to the right, y to the front, z to the top). A 2D slice is axial: ``*S`` = (x, y).
"""

from typing import TypedDict

from torch import Tensor

FLAIR = "flair"
T1W = "t1w"
FLAIR_LATENT = "flair_latent"
ANCHOR = "anchor"
REGRESSED = "regressed"
BRAIN_MASK = "brain_mask"
LESION_MASK = "lesion_mask"
LABELS = "labels"
SUBJECT = "subject"
ITEM = "item"

CONTRASTS = (FLAIR, T1W)


class Batch(TypedDict, total=False):
    """One training or sampling batch; a key that a task does not need is absent.

    Attributes:
        flair: Source image, (B, 1 + 2 * context_slices, *S), float32, normalised to [0, 1]; the
            middle channel is the slice itself, its neighbours in z stand on both sides.
        t1w: Target image, (B, 1, *S), float32, normalised to [0, 1]; 0 outside the brain.
        brain_mask: (B, 1, *S), float32, 1 in the brain and 0 elsewhere.
        t1w_mean: Posterior mean of the T1w latent, (B, C, *S / f), unscaled.
        t1w_sigma: Posterior standard deviation of the T1w latent, (B, C, *S / f), unscaled.
        flair_latent: Standardised latent of FLAIR, (B, C * (1 + 2 * context_slices), *S / f).
        anchor: Latent that a method starts from or adds to, then FLAIR pixels as channels; see
            mrcontrast.latent.conditions.AnchoredCondition.
        regressed: FLAIR and a regression's T1w beside it, (B, 2 + 2 * context_slices, *S), [0, 1].
        guess: Standardised latent near that of the T1w, (B, C, *S / f); a draw may begin there.
        lost: What the autoencoder loses of the image of that guess, (B, 1, *S), in [-1, 1].
        subject: Names of the subjects, one an item, such as "sub-03".
        item: Index of the item in its dataset, (B,), int64.
    """

    flair: Tensor
    t1w: Tensor
    brain_mask: Tensor
    t1w_mean: Tensor
    t1w_sigma: Tensor
    flair_latent: Tensor
    anchor: Tensor
    regressed: Tensor
    guess: Tensor
    lost: Tensor
    subject: list[str]
    item: Tensor
