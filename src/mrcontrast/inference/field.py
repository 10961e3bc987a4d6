"""The field that networks with group norms can take: as full of brain as in their training.

Background shifts the level of a group norm over the whole field. See experiments/norms.
"""

from collections.abc import Sequence
from math import ceil

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

LEAST_SLICE = 0.05  # of an axial slice: training leaves out slices with less brain
LEAST_SPAN = 0.5  # of an axis, by the brain; a whole brain spans 0.6 or more in training
LEAST_SLAB_MM = 20.0  # below it the level is off by more than 0.03


Box = list[tuple[int, int]]  # start and stop along each axis; they may lie outside the volume


def usual_field(mask: np.ndarray, trained: Sequence[int], spatial_dims: int, multiple: int) -> Box:
    """Return the field about a brain (X, Y, Z) that is as full of it as the fields of training.

    In 2D the axes of a slice are cut, where they are longer than those of training; in 3D all axes,
    and a slab gets an empty part of its own thickness. Axes that change become multiples.
    """
    box = [(0, n) for n in mask.shape]
    for axis in range(spatial_dims):
        found = np.flatnonzero(mask.any(tuple({0, 1, 2} - {axis})))
        first, span = int(found[0]), int(found[-1] - found[0] + 1)
        goal, whole = max(trained[axis], span), mask.shape[axis]
        slab = spatial_dims == 3 and span < LEAST_SPAN * goal
        if slab:
            goal = round(span / LEAST_SPAN)
        wanted = multiple * ceil(goal / multiple)
        if wanted < whole or slab:
            room = whole - wanted
            start = first + (span - wanted) // 2
            start = min(max(start, min(room, 0)), max(room, 0))
            box[axis] = (start, start + wanted)
    return box


def in_field(volume: Tensor, box: Box) -> Tensor:
    """Return the part of (..., X, Y, Z) in a box, 0 outside the volume."""
    sides = [
        side
        for (start, stop), n in zip(reversed(box), reversed(volume.shape[-3:]), strict=True)
        for side in (-start, stop - n)
    ]
    return F.pad(volume, sides)  # negative sides cut


def out_of_field(part: Tensor, box: Box, shape: Sequence[int]) -> Tensor:
    """Return a volume of axes ``shape`` with what was drawn in a box, 0 elsewhere."""
    return in_field(part, [(-start, n - start) for (start, _), n in zip(box, shape, strict=True)])


def field_remarks(mask: np.ndarray, spatial_dims: int, spacing_mm: float) -> tuple[str, ...]:
    """Say where no cut brings a field near those of training; see ``usual_field``."""
    if spatial_dims == 2:
        most = mask.mean((0, 1)).max()
        if most >= LEAST_SLICE:
            return ()
        found = f"brain fills {most:.1%} of the fullest slice, training had {LEAST_SLICE:.0%}"
    else:
        thinnest = min(np.ptp(places) + 1 for places in np.nonzero(mask)) * spacing_mm
        if thinnest >= LEAST_SLAB_MM:
            return ()
        found = f"a slab of {thinnest:g} mm, this model needs {LEAST_SLAB_MM:g}"
    return (f"{found}; the brightness of the output may be off",)


def lending_slices(brain: Tensor) -> Tensor:
    """Return (Z,), int64: the slice of (X, Y, Z) whose norms serve each slice.

    Slices with enough brain serve themselves, others take the nearest of these, if there is one.
    """
    places = torch.arange(brain.shape[2])
    share = brain.float().mean((0, 1))
    able = (share >= LEAST_SLICE).nonzero().flatten()
    if not len(able):
        return places
    nearest = able[(places[:, None] - able).abs().argmin(1)]
    return torch.where(share >= LEAST_SLICE, places, nearest)


def with_lenders(z: Tensor, lending: Tensor) -> tuple[Tensor, Tensor]:
    """Return the slices of a batch with those that lend their norms, and each one's place there.

    >>> rows, lenders = with_lenders(torch.tensor([7, 8]), torch.tensor([*range(8), 6]))
    >>> rows.tolist(), lenders.tolist()
    ([7, 8, 6], [0, 2, 2])
    """
    rows = z.tolist()
    rows += sorted(set(lending[z].tolist()) - set(rows))
    return torch.tensor(rows), torch.tensor([rows.index(int(lending[row])) for row in rows])


def scanned_field(shape: tuple[int, int, int], slices: tuple[int, int]) -> np.ndarray:
    """Return a field of view (X, Y, Z), bool, of whole axial slices, first and last included."""
    field = np.zeros(shape, bool)
    field[:, :, slices[0] : slices[1] + 1] = True
    return field
