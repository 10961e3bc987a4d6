import numpy as np
import pytest
from scipy import ndimage

from mrcontrast.imaging.blocks import SHIFTS, BlockShifts, block_centres, find_shifts

SHAPE = (34, 38, 36)


@pytest.fixture(scope="module")
def scene() -> tuple[np.ndarray, np.ndarray]:
    """Smooth structure, and a mask that leaves room for blocks and shifts."""
    noise = np.random.default_rng(0).standard_normal(SHAPE)
    field = ndimage.gaussian_filter(noise, 2.0)
    mask = np.zeros(SHAPE, bool)
    mask[7:-7, 7:-7, 7:-7] = True
    return field / field.std(), mask


def test_a_shift_in_another_contrast_is_found(scene: tuple[np.ndarray, np.ndarray]) -> None:
    """The other contrast is neither brighter nor darker where the first one is: a parabola."""
    field, mask = scene
    other = np.roll((field - 0.3) ** 2, (2, -1, 0), axis=(0, 1, 2))
    known = np.ones(SHAPE, bool)
    back = find_shifts(other, field, mask, known)  # field fits other by no parabola
    there = find_shifts(field, other, mask, known)
    np.testing.assert_allclose(np.median(there.shifts, axis=0), [2, -1, 0], atol=0.15)
    assert np.median(there.similarity) > 0.95
    assert len(there.centres) == len(there.shifts) > 20
    assert np.median(back.similarity) < np.median(there.similarity)


def test_half_a_voxel(scene: tuple[np.ndarray, np.ndarray]) -> None:
    field, mask = scene
    other = ndimage.shift(field, (0.5, 0, -1.25), order=3)
    found = find_shifts(field, -other, mask, np.ones(SHAPE, bool))
    np.testing.assert_allclose(np.median(found.shifts, axis=0), [0.5, 0, -1.25], atol=0.1)


def test_only_voxels_in_both_masks_count(scene: tuple[np.ndarray, np.ndarray]) -> None:
    field, mask = scene
    other, known = np.roll(field, 1, axis=2), np.ones(SHAPE, bool)
    other[:, :, ::4] = 50  # slices that are broken, and known to be
    known[:, :, ::4] = False
    found = find_shifts(field, other, mask, known)
    np.testing.assert_allclose(np.median(found.shifts, axis=0), [0, 0, 1], atol=0.2)
    unmasked = find_shifts(field, other, mask, np.ones(SHAPE, bool))
    assert np.median(unmasked.similarity) < 0.3


def test_nothing_fits_what_is_flat(scene: tuple[np.ndarray, np.ndarray]) -> None:
    field, mask = scene
    found = find_shifts(field, np.ones(SHAPE), mask, np.ones(SHAPE, bool))
    assert found.similarity.max() < 0.05


def test_no_mask_no_blocks() -> None:
    assert len(block_centres(np.zeros(SHAPE, bool))) == 0


def test_the_other_way_round() -> None:
    scores = np.zeros((1, 343))
    scores[0, 0] = 0.5  # at (-3, -3, -3)
    one = BlockShifts(np.array([[5.0, 5, 5]]), np.array([[1.0, 0, -2]]), np.array([0.5]), scores)
    back = one.reversed()
    assert back.scores[0, -1] == 0.5
    np.testing.assert_array_equal(back.centres, [[6, 5, 3]])
    np.testing.assert_array_equal(back.shifts, [[-1, 0, 2]])
    assert len(one.joined(back).similarity) == 2


def test_a_block_that_fits_everywhere_alike_contradicts_no_shift() -> None:
    """One block with a sharp best shift of (2, 0, 0), one that is flat, one flat along y alone."""
    at = (SHIFTS == [2, 0, 0]).all(axis=1)
    along = (SHIFTS[:, [0, 2]] == [2, 0]).all(axis=1)
    scores = np.stack([np.where(at, 0.5, 0.3), np.where(at, 0.5, 0.49), np.where(along, 0.5, 0.1)])
    best = np.tile([2.0, 0, 0], (3, 1))
    blocks = BlockShifts(np.zeros((3, 3)), best, scores.max(axis=1), scores)
    np.testing.assert_allclose(blocks.distance_to(np.zeros((3, 3))), [2, 0, 2])
    np.testing.assert_allclose(blocks.distance_to(np.tile([2.0, 3, 0], (3, 1))), [3, 0, 0])
    np.testing.assert_allclose(blocks.distance_to(best), 0)
    back = blocks.reversed()
    np.testing.assert_allclose(back.distance_to(np.tile([-2.0, -3, 0], (3, 1))), [3, 0, 0])
