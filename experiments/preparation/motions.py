"""Rigid motions of known size, and the points at which their error is measured."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation


def rigid_matrix(
    rotation_deg: Sequence[float], shift_mm: Sequence[float], centre_mm: Sequence[float]
) -> np.ndarray:
    """Return (4, 4): rotations about x, then y, then z through a centre, then a shift."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", rotation_deg, degrees=True).as_matrix()
    matrix[:3, 3] = centre_mm - matrix[:3, :3] @ centre_mm + np.asarray(shift_mm)
    return matrix


def surface_points(mask: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Return the voxels of a mask (X, Y, Z) with a neighbour outside: (N, 3), in mm."""
    padded = np.pad(np.asarray(mask, bool), 1)
    surface = (padded & ~ndimage.binary_erosion(padded))[1:-1, 1:-1, 1:-1]
    return np.argwhere(surface) @ affine[:3, :3].T + affine[:3, 3]
