"""Names, shapes, units and ranges of everything that travels in a batch.

Axes, once for the whole project: ``B`` batch, ``C`` channels, ``*S`` two or three spatial axes
in RAS order (x to the right, y to the front, z to the top). A 2D slice is axial: ``*S`` = (x, y).
"""

from collections.abc import Sequence
from typing import Any, TypedDict

import torch
from torch import Tensor

from mrcontrast.errors import UsageError

SOURCE = "source"
TARGET = "target"
SOURCE_LATENT = "source_latent"
ANCHOR = "anchor"
REGRESSED = "regressed"
BRAIN_MASK = "brain_mask"
SUBJECT = "subject"
ITEM = "item"
TAGS = "tags"
PRESENT = "present"


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
        present: 1 for each source that an item has, 0 for one that is absent, whose channels are
            0; (B, N), float32. Without it all are there.
        controls: Conditions of added ControlNets, in the order of ``ControlNetDiffusion.added``.
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
    present: Tensor
    controls: list[Tensor]


def middle_slices(slabs: Tensor, contrasts: int) -> list[Tensor]:
    """Return the images (B, 1, *S) of so many contrasts, without their neighbouring slices.

    >>> import torch
    >>> [image.item() for image in middle_slices(torch.arange(6.0).view(1, 6, 1, 1), 2)]
    [1.0, 4.0]
    """
    images = slabs.chunk(contrasts, dim=1)
    return [image[:, image.shape[1] // 2].unsqueeze(1) for image in images]


def optional_rows(source: Sequence[str], optional: Sequence[str]) -> tuple[int, ...]:
    """Return the places of the optional sources among all.

    Raises:
        UsageError: One is no source, or is the first.

    >>> optional_rows(["flair", "t2w", "pd"], ["pd"])
    (2,)
    """
    if wrong := [name for name in optional if name not in tuple(source)[1:]]:
        further = ", ".join(tuple(source)[1:]) or "none"
        raise UsageError(
            f"Expected optional sources among {further}, got {wrong[0]} (data.optional). The first "
            "source is always needed."
        )
    return tuple(row for row, name in enumerate(source) if name in optional)


def flagged(source: Tensor, present: Tensor | None, rows: Sequence[int]) -> Tensor:
    """Append a constant channel for each optional source: 1 where it is there, 0 where it is not.

    Args:
        source: (B, C, *S).
        present: (B, N); None says that all are there.
        rows: Places of the optional sources among the N.

    >>> flagged(torch.full((1, 2, 1), 0.5), torch.tensor([[1.0, 0.0]]), [1]).flatten().tolist()
    [0.5, 0.5, 0.0]
    """
    if not rows:
        return source
    flags = source.new_ones(len(source), len(rows))
    if present is not None:
        flags = present[:, list(rows)].to(source)
    planes = flags.view(*flags.shape, *[1] * (source.ndim - 2)).expand(-1, -1, *source.shape[2:])
    return torch.cat([source, planes], dim=1)
