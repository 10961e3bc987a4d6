"""A volume on the grid of its file, in an order of axes that the file has no part in."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from mrcontrast.errors import MrcontrastError
from mrcontrast.storage.memory import free_memory
from mrcontrast.storage.volume import Volume
from mrcontrast.transforms.brain import brain_from_nonzero
from mrcontrast.transforms.orientation import Turned

BYTES_A_VOXEL = 16  # of arrays on the file's grid that exist at once, besides the volume
BYTES_A_GRID_VOXEL = 48  # likewise on the model's grid
FINER = 0.9  # of the model's spacing; below it detail is lost that a reader may look for


@dataclass(frozen=True)
class Native:
    """A volume as read, with axes turned to RAS, its first voxel at 0 mm, and NaN set to 0.

    ``brain`` is (X, Y, Z), bool; ``turned`` says how the axes were turned.
    """

    turned: Turned
    volume: Volume
    brain: np.ndarray

    @classmethod
    def of(cls, volume: Volume, mask: np.ndarray | None) -> Self:
        """Turn a volume, and find its brain where no mask (X, Y, Z) is given."""
        check_size(volume.shape, BYTES_A_VOXEL)
        turned = Turned.of(volume)
        stored = turned.volume(volume.data)
        unknown = np.isnan(stored.data)
        if unknown.any():
            stored = Volume(np.where(unknown, 0, stored.data), stored.affine)
        brain = brain_from_nonzero(stored) if mask is None else turned.apply(mask)
        if bad := int((unknown & brain).sum()):
            raise MrcontrastError(
                f"Expected finite voxels in the brain, got {bad} NaN. "
                "Repair the volume, or give a brain mask that leaves them out."
            )
        return cls(turned, stored, np.asarray(brain, bool))


def check_size(shape: tuple[int, int, int], bytes_a_voxel: int) -> None:
    """Check that the arrays of a grid fit in the free memory."""
    x, y, z = shape
    needed, free = x * y * z * bytes_a_voxel, free_memory()
    if needed > free:
        raise MrcontrastError(
            f"Expected a volume that fits in memory, got a grid of {x} x {y} x {z} voxels, which "
            f"needs {needed / 2**30:.1f} GiB where {free / 2**30:.1f} are free. "
            "Check the mask, the spacing and its units, or free some memory."
        )


def detail_remarks(volume: Volume, spacing_mm: float) -> tuple[str, ...]:
    """Say where a model of a spacing cannot give the detail of a volume."""
    if min(volume.spacing_mm) >= FINER * spacing_mm:
        return ()
    found = " x ".join(f"{step:.3g}" for step in volume.spacing_mm)
    return (f"voxels of {found} mm are translated at the model's {spacing_mm:g} mm detail",)
