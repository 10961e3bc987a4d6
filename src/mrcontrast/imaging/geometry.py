"""Rigid motions of points in mm and of volumes."""

import math
from collections.abc import Sequence

import numpy as np
import scipy

from mrcontrast.storage.volume import Volume
from mrcontrast.transforms.grid import resample_to


def rigid_matrix(
    rotation_deg: Sequence[float], shift_mm: Sequence[float], centre_mm: Sequence[float]
) -> np.ndarray:
    """Return (4, 4): rotations about x, then y, then z through a centre, then a shift.

    >>> (rigid_matrix((0, 0, 90), (0, 0, 5), (0, 0, 0)) @ [1, 0, 0, 1]).round(6)
    array([0., 1., 5., 1.])
    """
    rotation = scipy.spatial.transform.Rotation.from_euler("xyz", rotation_deg, degrees=True)
    turn = rotation.as_matrix()
    matrix = np.eye(4)
    matrix[:3, :3] = turn
    matrix[:3, 3] = np.asarray(centre_mm) - turn @ np.asarray(centre_mm) + np.asarray(shift_mm)
    return matrix


def rotation_of(matrix: np.ndarray) -> np.ndarray:
    """Return the rotation (3, 3) nearest to a linear map (4, 4)."""
    left, _, right = np.linalg.svd(matrix[:3, :3])
    return np.asarray(left @ np.diag([1, 1, np.linalg.det(left @ right)]) @ right)


def angle_deg(rotation: np.ndarray) -> float:
    """Return the angle of a rotation (3, 3), in [0, 180]."""
    return math.degrees(math.acos(min(1.0, max(-1.0, (float(np.trace(rotation)) - 1) / 2))))


def apply_matrix(volume: Volume, matrix: np.ndarray, like: Volume, order: int = 1) -> Volume:
    """Resample a moving volume onto the grid of a fixed one.

    Args:
        volume: Moving volume, or a mask as 0 and 1.
        matrix: (4, 4), from points of ``like`` to points of ``volume``, RAS in mm.
        like: Gives the grid.
        order: Order of the spline: 0 nearest, 1 linear, 3 cubic.
    """
    moved = Volume(volume.data, np.linalg.inv(matrix) @ volume.affine)
    return Volume(resample_to(moved, like.affine, like.shape, order), like.affine)


def displacement_mm(a: np.ndarray, b: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the distance of points (N, 3) under two matrices (4, 4): (N,), in mm."""
    return np.linalg.norm(points @ (a - b)[:3, :3].T + (a - b)[:3, 3], axis=1)


def surface_points(mask: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Return the voxels of a mask (X, Y, Z) with a neighbour outside: (N, 3), in mm."""
    padded = np.pad(np.asarray(mask, bool), 1)
    surface = (padded & ~scipy.ndimage.binary_erosion(padded))[1:-1, 1:-1, 1:-1]
    return np.argwhere(surface) @ affine[:3, :3].T + affine[:3, 3]


def fit_rigid(points: np.ndarray, targets: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the rigid motion (4, 4) of points (N, 3) nearest to targets (N, 3), weights (N,).

    Source: Kabsch 1976, Acta Crystallographica A32:922.
    """
    share = weight / weight.sum()
    middle, goal = share @ points, share @ targets
    left, _, right = np.linalg.svd((points - middle).T @ ((targets - goal) * share[:, None]))
    matrix = np.eye(4)
    matrix[:3, :3] = (left @ np.diag([1, 1, np.linalg.det(left @ right)]) @ right).T
    matrix[:3, 3] = goal - matrix[:3, :3] @ middle
    return matrix
