import numpy as np
import pytest

from mrcontrast.imaging.geometry import (
    angle_deg,
    apply_matrix,
    displacement_mm,
    fit_rigid,
    rigid_matrix,
    rotation_of,
    surface_points,
)
from mrcontrast.storage.volume import Volume

SHAPE = (14, 12, 16)


def test_displacement_known_by_hand() -> None:
    turned = rigid_matrix((0, 0, 90), (0, 0, 2), (0, 0, 0))
    points = np.array([[0.0, 0, 0], [1, 0, 0]])
    np.testing.assert_allclose(displacement_mm(turned, np.eye(4), points), [2, np.sqrt(6)])


def test_the_centre_stays_and_the_angle_is_known() -> None:
    matrix = rigid_matrix((30, 0, 0), (0, 0, 0), (1, 2, 3))
    np.testing.assert_allclose(matrix @ [1, 2, 3, 1], [1, 2, 3, 1])
    scaled = matrix.copy()
    scaled[:3, :3] *= 1.1
    assert angle_deg(rotation_of(scaled)) == pytest.approx(30)


def test_an_exact_motion_is_fitted_and_weight_0_does_not_count() -> None:
    points = np.random.default_rng(0).normal(0, 40, (30, 3))
    truth = rigid_matrix((10, -20, 5), (3, 4, 5), (1, 1, 1))
    targets = points @ truth[:3, :3].T + truth[:3, 3]
    weight = np.ones(30)
    targets[:4] += 50
    weight[:4] = 0
    np.testing.assert_allclose(fit_rigid(points, targets, weight), truth, atol=1e-9)


def test_a_shift_of_whole_voxels_moves_the_voxels() -> None:
    volume = Volume(
        np.random.default_rng(0).random(SHAPE).astype(np.float32), np.diag([2.0, 2, 2, 1])
    )
    shift = rigid_matrix((0, 0, 0), (4, 0, -2), (0, 0, 0))
    moved = apply_matrix(volume, shift, volume)
    np.testing.assert_allclose(moved.data[:-2, :, 1:], volume.data[2:, :, :-1], atol=1e-6)


def test_surface_of_a_cube() -> None:
    mask = np.zeros(SHAPE, bool)
    mask[2:5, 2:5, 2:5] = True
    affine = np.diag([1.0, 2, 3, 1])
    affine[:3, 3] = 7
    points = surface_points(mask, affine)
    assert len(points) == 26
    np.testing.assert_allclose(points.min(axis=0), [9, 11, 13])
    assert len(surface_points(np.ones((3, 3, 3), bool), affine)) == 26
