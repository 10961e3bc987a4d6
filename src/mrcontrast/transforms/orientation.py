"""The order and directions of a volume's axes."""

from dataclasses import dataclass

import nibabel as nib
import numpy as np

from mrcontrast.storage.volume import Volume


def to_ras(volume: Volume) -> Volume:
    """Flip and permute axes so that they point most closely to right, front and top.

    No voxel is interpolated: an oblique volume stays oblique.
    """
    turn = nib.orientations.io_orientation(volume.affine)
    data = nib.orientations.apply_orientation(volume.data, turn)
    affine = volume.affine @ nib.orientations.inv_ornt_aff(turn, volume.shape)
    return Volume(np.ascontiguousarray(data), affine)


@dataclass(frozen=True)
class Turned:
    """The axes of a volume turned to RAS, about the centre of its first voxel in that order.

    What is computed here does not depend on the order in which a file stores its axes, to the last
    bit: axes agree, and so do the coordinates, which the place in the world has no part in.

    Attributes:
        turn: (3, 2), as nibabel describes orientations.
        shape: Of the volume as stored.
        affine: (4, 4), of the turned axes, with its first voxel at 0 mm.
        origin_mm: (3,), of that voxel in the world.
    """

    turn: np.ndarray
    shape: tuple[int, int, int]
    affine: np.ndarray
    origin_mm: np.ndarray

    @classmethod
    def of(cls, volume: Volume) -> "Turned":
        """Find the order of a volume's axes."""
        turn = nib.orientations.io_orientation(volume.affine)
        ras = volume.affine @ nib.orientations.inv_ornt_aff(turn, volume.shape)
        local = np.eye(4)
        spacing = np.linalg.norm(ras[:3, :3], axis=0)
        # Headers hold float32, and quaternions turn by 90 degrees to 1e-8 only.
        local[:3, :3] = np.round(ras[:3, :3] / spacing, 6) * np.round(spacing, 6)
        return cls(turn, volume.shape, local, ras[:3, 3])

    def apply(self, data: np.ndarray) -> np.ndarray:
        """Return an array (X, Y, Z) with its axes turned; a view."""
        return np.asarray(nib.orientations.apply_orientation(data, self.turn))

    def volume(self, data: np.ndarray) -> Volume:
        """Return an array (X, Y, Z) as a volume with its axes turned, at 0 mm."""
        return Volume(self.apply(data), self.affine)

    def undo(self, data: np.ndarray) -> np.ndarray:
        """Return turned data in the order of the file; a view."""
        back = np.empty_like(self.turn)
        for axis, (position, direction) in enumerate(self.turn):
            back[int(position)] = axis, direction
        return np.asarray(nib.orientations.apply_orientation(data, back))
