"""Names, shapes, units and ranges of everything that travels in a batch.

Axes, once for the whole project: ``B`` batch, ``C`` channels, ``*S`` two or three spatial axes
in RAS order (x to the right, y to the front, z to the top). A 2D slice is axial: ``*S`` = (x, y).
"""

from typing import Any, TypedDict

from torch import Tensor

SOURCE = "source"
TARGET = "target"
SOURCE_LATENT = "source_latent"
ANCHOR = "anchor"
REGRESSED = "regressed"
BRAIN_MASK = "brain_mask"
SUBJECT = "subject"
ITEM = "item"
TAGS = "tags"


class Batch(TypedDict, total=False):
    """One training or sampling batch; a key that a task does not need is absent.

    Attributes:
        source: Source images, (B, N * (1 + 2 * context_slices), *S), float32, normalised to
            [0, 1]: N contrasts one after the other, each slice between its neighbours in z.
        target: Target image, (B, 1, *S), float32, normalised to [0, 1]; 0 outside the brain.
        brain_mask: (B, 1, *S), float32, 1 in the brain and 0 elsewhere.
        target_mean: Posterior mean of the target's latent, (B, C, *S / f), unscaled.
        target_sigma: Posterior standard deviation of that latent, (B, C, *S / f), unscaled.
        source_latent: Standardised latents of the source, (B, C * N * (1 + 2 * context_slices),
            *S / f).
        anchor: Standardised latent that a method starts from or adds to, (B, C, *S / f).
        regressed: Image of a regression, (B, 1, *S), in [0, 1].
        guess: Standardised latent near the target's, (B, C, *S / f); sampling may start there.
        lost: Detail of an image that its latent lacks, (B, 1, *S), in [-1, 1].
        subject: Names of the subjects, one an item, such as "sub-03".
        item: Index of the item in its dataset, (B,), int64.
        tags: Known tags of scan and person by name, one dict an item; see
            ``mrcontrast.networks.tags``.
    """

    source: Tensor
    target: Tensor
    brain_mask: Tensor
    target_mean: Tensor
    target_sigma: Tensor
    source_latent: Tensor
    anchor: Tensor
    regressed: Tensor
    guess: Tensor
    lost: Tensor
    subject: list[str]
    item: Tensor
    tags: list[dict[str, Any]]


def middle_slices(slabs: Tensor, contrasts: int) -> list[Tensor]:
    """Return the images (B, 1, *S) of so many contrasts, without their neighbouring slices.

    >>> import torch
    >>> [image.item() for image in middle_slices(torch.arange(6.0).view(1, 6, 1, 1), 2)]
    [1.0, 4.0]
    """
    images = slabs.chunk(contrasts, dim=1)
    return [image[:, image.shape[1] // 2].unsqueeze(1) for image in images]
