"""The field that networks with group norms can take: as full of brain as in their training.

A group norm takes its statistics over the whole field, so that much background, or little, shifts
the level of the output. See experiments/norms.
"""

from collections.abc import Sequence
from math import ceil

import numpy as np
import torch
from torch import Tensor

LEAST_SLICE = 0.05  # of an axial slice: training leaves out slices with less brain
LEAST_SPAN = 0.5  # of an axis, by the brain; a whole brain spans 0.6 or more in training
USUAL_SPAN = 0.7
LEAST_SLAB_MM = 20.0  # below it the level is off by more than 0.03


def usual_field(
    mask: np.ndarray, trained: Sequence[int], spatial_dims: int, multiple: int
) -> tuple[slice, ...]:
    """Return the part of a volume that is as full of brain as the fields of training.

    Args:
        mask: (X, Y, Z), bool, the brain.
        trained: Axes of the volumes of training.
        spatial_dims: 2: the axes of a slice are cut, where they are longer than those of training;
            3: all axes, and of a slab more of the empty part.
        multiple: Axes are cut to multiples of this.
    """
    box = [slice(0, n) for n in mask.shape]
    for axis in range(spatial_dims):
        found = np.flatnonzero(mask.any(tuple({0, 1, 2} - {axis})))
        first, span = int(found[0]), int(found[-1] - found[0] + 1)
        goal, whole = trained[axis], mask.shape[axis]
        if spatial_dims == 3 and span < LEAST_SPAN * goal:
            goal = round(span / USUAL_SPAN)
        wanted = multiple * ceil(max(goal, span) / multiple)
        if wanted < whole:
            start = min(max(first + (span - wanted) // 2, 0), whole - wanted)
            box[axis] = slice(start, start + wanted)
    return tuple(box)


def field_remarks(mask: np.ndarray, spatial_dims: int, spacing_mm: float) -> tuple[str, ...]:
    """Say where no cut brings a field near those of training; see ``usual_field``."""
    if spatial_dims == 2:
        most = mask.mean((0, 1)).max()
        if most >= LEAST_SLICE:
            return ()
        found = f"brain fills {most:.1%} of the fullest slice, {LEAST_SLICE:.0%} or more in training"
    else:
        thinnest = min(np.ptp(places) + 1 for places in np.nonzero(mask)) * spacing_mm
        if thinnest >= LEAST_SLAB_MM:
            return ()
        found = f"a slab of {thinnest:g} mm, this model needs {LEAST_SLAB_MM:g}"
    return (f"{found}; the brightness of the output may be off",)


def lending_slices(brain: Tensor) -> Tensor:
    """Return (Z,), int64: the slice of (X, Y, Z) whose norms serve each slice.

    Slices with enough brain serve themselves, others take the nearest of these; where there is
    none, themselves.
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
