"""Order and directions of a volume's axes."""

from dataclasses import dataclass

import nibabel as nib
import numpy as np

from mrcontrast.storage.volume import Volume


def to_ras(volume: Volume) -> Volume:
    """Flip and permute axes to the nearest right, front and top, without interpolation."""
    turn = nib.orientations.io_orientation(volume.affine)
    data = nib.orientations.apply_orientation(volume.data, turn)
    affine = volume.affine @ nib.orientations.inv_ornt_aff(turn, volume.shape)
    return Volume(np.ascontiguousarray(data), affine)


@dataclass(frozen=True)
class Turned:
    """A volume's axes in RAS order, with the origin at its first voxel in that order.

    Results in this frame do not depend, to the last bit, on the order in which a file stores its
    axes, since axes and coordinates are equal and exclude the place in the world. ``turn`` (3, 2)
    is nibabel's orientation, ``shape`` that of the file, and ``origin_mm`` the first voxel's place.
    """

    turn: np.ndarray
    shape: tuple[int, int, int]
    affine: np.ndarray
    origin_mm: np.ndarray

    @classmethod
    def of(cls, volume: Volume) -> "Turned":
        """Return the axes of a volume."""
        turn = nib.orientations.io_orientation(volume.affine)
        ras = volume.affine @ nib.orientations.inv_ornt_aff(turn, volume.shape)
        local = np.eye(4)
        spacing = np.linalg.norm(ras[:3, :3], axis=0)
        # Headers hold float32, and quaternions are exact to 1e-8 only.
        local[:3, :3] = np.round(ras[:3, :3] / spacing, 6) * np.round(spacing, 6)
        return cls(turn, volume.shape, local, ras[:3, 3])

    def apply(self, data: np.ndarray) -> np.ndarray:
        """Return an array (X, Y, Z) in RAS order, as a view."""
        return np.asarray(nib.orientations.apply_orientation(data, self.turn))

    def volume(self, data: np.ndarray) -> Volume:
        """Return an array (X, Y, Z) as a volume in this frame."""
        return Volume(self.apply(data), self.affine)

    def undo(self, data: np.ndarray) -> np.ndarray:
        """Return RAS data in the order of the file, as a view."""
        back = np.empty_like(self.turn)
        for axis, (position, direction) in enumerate(self.turn):
            back[int(position)] = axis, direction
        return np.asarray(nib.orientations.apply_orientation(data, back))
