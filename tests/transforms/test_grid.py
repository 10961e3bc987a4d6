import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.storage.volume import Volume
from mrcontrast.transforms.brain import mask_from_nonzero
from mrcontrast.transforms.grid import ModelGrid, coarsen, resample_labels, resample_to
from mrcontrast.transforms.orientation import to_ras

CENTRE_MM = np.array([5.0, -12.0, 8.0])
RADII_MM = np.array([24.0, 34.0, 28.0])


def make_affine(spacing: tuple[float, ...], axes: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = axes @ np.diag(spacing)
    affine[:3, 3] = CENTRE_MM - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine


def smooth_brain(affine: np.ndarray, shape: tuple[int, ...]) -> tuple[Volume, np.ndarray]:
    """An ellipsoid with a smooth, asymmetric intensity that depends on world position only."""
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    world = index @ affine[:3, :3].T + affine[:3, 3] - CENTRE_MM
    r2 = ((world / RADII_MM) ** 2).sum(axis=-1)
    wave = 1 + 0.3 * np.sin(world[..., 0] / 12) + 0.2 * np.cos(world[..., 1] / 15 + 1)
    wave += 0.1 * np.sin(world[..., 2] / 14)
    return Volume((wave * np.exp(-r2)).astype(np.float32), affine), r2 < 1


OBLIQUE = Rotation.from_euler("xyz", [12, -9, 20], degrees=True).as_matrix()
LPS = np.diag([-1.0, -1.0, 1.0])
PERMUTED = np.array([[0.0, 0, 1], [-1, 0, 0], [0, 1, 0]])  # sagittal storage
GEOMETRIES = {
    "ras": ((1.5, 1.5, 1.5), np.eye(3), (50, 66, 54)),
    "lps": ((1.5, 1.5, 1.5), LPS, (50, 66, 54)),
    "las anisotropic": ((1.0, 1.0, 3.0), np.diag([-1.0, 1, 1]), (72, 96, 28)),
    "sagittal": ((1.5, 2.0, 1.2), PERMUTED, (70, 50, 60)),
    "oblique": ((1.5, 1.5, 1.5), OBLIQUE, (60, 72, 60)),
    "oblique lps anisotropic": ((1.2, 1.2, 3.0), OBLIQUE @ LPS, (70, 90, 30)),
}


@pytest.fixture(params=GEOMETRIES.values(), ids=GEOMETRIES.keys())
def brain(request: pytest.FixtureRequest) -> tuple[Volume, np.ndarray]:
    spacing, axes, shape = request.param
    return smooth_brain(make_affine(spacing, axes, shape), shape)


def test_to_ras_moves_no_voxel_in_the_world(brain: tuple[Volume, np.ndarray]) -> None:
    volume, _ = brain
    turned = to_ras(volume)
    assert turned.orientation == "RAS"
    assert sorted(turned.shape) == sorted(volume.shape)
    expected, _ = smooth_brain(turned.affine, turned.shape)
    np.testing.assert_allclose(turned.data, expected.data, atol=1e-5)


def test_the_grid_shows_the_world_as_it_is(brain: tuple[Volume, np.ndarray]) -> None:
    volume, mask = brain
    grid = ModelGrid(2.0, (32, 40, 36))
    gridded = grid.to_grid(volume, mask)
    assert gridded.data.shape == (32, 40, 36)
    assert gridded.data.dtype == np.float32
    assert Volume(gridded.data, gridded.affine).orientation == "RAS"
    np.testing.assert_allclose(gridded.affine[:3, :3], 2 * np.eye(3))
    expected, inside = smooth_brain(gridded.affine, grid.shape)
    assert np.abs(gridded.data - expected.data)[inside].max() < 0.06
    overlap = 2 * (gridded.mask & inside).sum() / (gridded.mask.sum() + inside.sum())
    assert overlap > 0.97


def test_back_from_the_grid_is_close_to_a_smooth_volume(brain: tuple[Volume, np.ndarray]) -> None:
    volume, mask = brain
    grid = ModelGrid(1.5, (40, 56, 48))
    gridded = grid.to_grid(volume, mask)
    again = grid.from_grid(gridded.data, gridded.affine, like=volume)
    assert again.shape == volume.shape
    np.testing.assert_array_equal(again.affine, volume.affine)
    assert np.abs(again.data - volume.data)[mask].max() < 0.06
    assert np.abs(again.data - volume.data)[mask].mean() < 0.01


def test_the_brain_is_in_the_middle(brain: tuple[Volume, np.ndarray]) -> None:
    volume, mask = brain
    gridded = ModelGrid(2.0, (32, 40, 36)).to_grid(volume, mask)
    middle = gridded.affine[:3, :3] @ ((np.array(gridded.data.shape) - 1) / 2)
    np.testing.assert_allclose(middle + gridded.affine[:3, 3], CENTRE_MM, atol=1.0)


@pytest.mark.parametrize("axes", [np.eye(3), LPS, PERMUTED])
def test_equal_spacing_copies_voxels(axes: np.ndarray) -> None:
    shape = (37, 48, 41)
    rng = np.random.default_rng(0)
    data = rng.normal(size=shape).astype(np.float32)
    volume = Volume(data, make_affine((2.0, 2.0, 2.0), axes, shape))
    mask = np.zeros(shape, bool)
    mask[4:30, 5:41, 7:36] = True  # even and odd extents
    grid = ModelGrid(2.0, (40, 40, 40))
    gridded = grid.to_grid(volume, mask)
    again = grid.from_grid(gridded.data, gridded.affine, like=volume)
    np.testing.assert_allclose(again.data[mask], data[mask], atol=1e-4)
    assert gridded.mask.sum() == mask.sum()


def test_a_shift_known_by_hand() -> None:
    data = np.zeros((9, 8, 7), np.float32)
    data[4, 3, 2] = 10
    affine = np.eye(4)
    affine[0, 3] = 0.25  # the new grid starts a quarter of a voxel to the right
    moved = resample_to(Volume(data, np.eye(4)), affine, data.shape)
    assert moved[4, 3, 2] == pytest.approx(7.5)
    assert moved[3, 3, 2] == pytest.approx(2.5)
    assert moved.sum() == pytest.approx(10)


def test_a_shift_of_whole_voxels_along_a_flipped_axis() -> None:
    data = np.zeros((9, 8, 7), np.float32)
    data[1, 3, 2] = 10
    flipped = np.diag([-1.0, 1, 1, 1])
    flipped[0, 3] = 8
    moved = resample_to(Volume(data, flipped), np.eye(4), data.shape)
    assert moved[7, 3, 2] == pytest.approx(10)  # x = 8 - 1


def test_coarser_voxels_keep_the_field_of_view_and_thicker_slices_stay() -> None:
    shape = (30, 41, 20)
    volume, _ = smooth_brain(make_affine((2.0, 1.5, 3.0), OBLIQUE, shape), shape)
    coarse = coarsen(volume, 2.5)
    assert coarse.shape == (24, 25, 20)
    np.testing.assert_allclose(coarse.spacing_mm, (2.5, 2.5, 3.0))
    for v in (volume, coarse):
        middle = v.affine[:3, :3] @ ((np.array(v.shape) - 1) / 2) + v.affine[:3, 3]
        np.testing.assert_allclose(middle, CENTRE_MM, atol=1e-9)


def test_downsampling_does_not_alias() -> None:
    shape = (48, 42, 45)  # new voxels stand on old ones, so that averaging is all smoothing
    checker = (np.indices(shape).sum(axis=0) % 2).astype(np.float32)
    volume = Volume(checker, np.eye(4))
    coarse = coarsen(volume, 3.0)
    np.testing.assert_allclose(coarse.data[2:-2, 2:-2, 2:-2], 0.5, atol=0.02)
    nearest = resample_to(volume, coarse.affine, coarse.shape, order=0)
    assert set(np.unique(nearest)) <= {0.0, 1.0}


def test_only_the_axes_that_get_coarser_are_smoothed() -> None:
    shape = (30, 33, 12)
    stripes = np.broadcast_to(np.arange(12) % 2, shape).astype(np.float32)
    volume = Volume(stripes, make_affine((1.0, 1.0, 3.0), PERMUTED, shape))  # thick axis is x
    affine = make_affine((3.0, 3.0, 3.0), np.eye(3), (12, 10, 10))
    coarse = resample_to(volume, affine, (12, 10, 10))
    np.testing.assert_allclose(coarse[:, 5, 5], np.arange(12) % 2, atol=1e-5)


def test_labels_stay_labels_and_go_to_the_majority() -> None:
    labels = np.zeros((12, 12, 12), np.uint8)
    labels[3:9] = 7
    labels[9:] = 2
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    affine[:3, 3] = 1
    coarse = resample_labels(labels, np.eye(4), affine, (4, 4, 4))
    assert coarse.dtype == np.uint8
    np.testing.assert_array_equal(coarse[:, 1, 1], [0, 7, 7, 2])


def test_an_axis_grows_to_a_multiple_when_the_brain_does_not_fit() -> None:
    shape = (50, 66, 54)
    volume, mask = smooth_brain(make_affine((1.5,) * 3, np.eye(3), shape), shape)
    gridded = ModelGrid(2.0, (32, 24, 36), multiple=8).to_grid(volume, mask)
    assert gridded.data.shape == (32, 40, 36)  # 67 mm / 2 mm = 34 voxels -> 40
    assert ModelGrid(2.0, (32, 24, 36), multiple=1).to_grid(volume, mask).data.shape[1] < 37


def test_nothing_of_the_brain_is_cut() -> None:
    shape = (50, 66, 54)
    volume, mask = smooth_brain(make_affine((2.0,) * 3, LPS, shape), shape)
    grid = ModelGrid(2.0, (1, 1, 1), multiple=1)  # the tightest that fits
    gridded = grid.to_grid(volume, mask)
    assert gridded.mask.sum() == mask.sum()


def test_mask_from_nonzero_fills_holes_and_drops_islands() -> None:
    data = np.zeros((20, 22, 18), np.float32)
    data[4:14, 4:16, 4:12] = -1.0  # overshoot below zero is brain all the same
    data[8, 8, 8] = 0
    data[18, 20, 16] = 5
    mask = mask_from_nonzero(Volume(data, np.eye(4)))
    assert mask.dtype == bool
    assert mask.sum() == 10 * 12 * 8
    assert mask[8, 8, 8]
    assert not mask[18, 20, 16]


def test_a_head_that_is_not_stripped_is_refused() -> None:
    with pytest.raises(MrcontrastError, match="skull-stripped"):
        mask_from_nonzero(Volume(np.ones((5, 6, 7), np.float32), np.eye(4)))
    with pytest.raises(MrcontrastError, match="only zeros"):
        mask_from_nonzero(Volume(np.zeros((5, 6, 7), np.float32), np.eye(4)))


def test_faults_of_the_grid() -> None:
    volume = Volume(np.ones((5, 6, 7), np.float32), np.eye(4))
    with pytest.raises(MrcontrastError, match="empty"):
        ModelGrid(2.0, (8, 8, 8)).to_grid(volume, np.zeros(volume.shape, bool))
    with pytest.raises(UsageError, match="positive"):
        ModelGrid(0.0, (8, 8, 8))
    with pytest.raises(UsageError, match="positive"):
        ModelGrid(1.0, (8, 0, 8))
