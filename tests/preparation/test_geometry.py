"""What moves voxels: everything goes along, and nothing is interpolated before its time."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from mrcontrast.errors import MrcontrastError
from mrcontrast.preparation.operators import CutBlock, ToGrid
from mrcontrast.preparation.operators.geometry import measure_scanned
from mrcontrast.preparation.subject import Subject
from mrcontrast.storage.volume import Volume
from mrcontrast.transforms.grid import ModelGrid

SHAPE = (12, 10, 8)
LPS = np.array([[-2.0, 0, 0, 20], [0, -3, 0, 30], [0, 0, 4, -10], [0, 0, 0, 1]])


@pytest.fixture
def subject() -> Subject:
    rng = np.random.default_rng(0)
    mask = np.zeros(SHAPE, bool)
    mask[3:9, 2:8, 2:6] = True
    lesion = np.zeros(SHAPE, bool)
    lesion[4, 4, 3] = True
    images = [rng.uniform(1, 9, SHAPE).astype(np.float32) for _ in range(2)]
    labels = (mask * 2 + lesion).astype(np.uint8)
    volumes = {"flair": Volume(images[0], LPS), "t1w": Volume(images[1], LPS)}
    return Subject(volumes, mask, lesion, labels)


def with_t1w(subject: Subject, t1w: Volume) -> Subject:
    return replace(subject, images=subject.images | {"t1w": t1w})


def world_of_lesion(subject: Subject) -> np.ndarray:
    (index,) = np.argwhere(subject.lesion_mask)
    assert subject.labels[tuple(index)] == 3
    return (subject.images["flair"].affine @ [*index, 1])[:3]


def test_a_block_is_cut_by_index_along_ras_axes(subject: Subject) -> None:
    cut = CutBlock((1, 0, 2), (8, 10, 5))(subject)
    assert cut.images["flair"].orientation == cut.images["t1w"].orientation == "RAS"
    ras = subject.images["flair"].data[::-1, ::-1]
    np.testing.assert_array_equal(cut.images["flair"].data, ras[1:9, 0:10, 2:7])
    assert cut.brain_mask.dtype == bool
    np.testing.assert_array_equal(world_of_lesion(cut), world_of_lesion(subject))
    with pytest.raises(MrcontrastError, match=r"at least \(12, 10, 9\) voxels"):
        CutBlock((0, 0, 4), (12, 10, 5))(subject)
    with pytest.raises(MrcontrastError, match="at least"):
        CutBlock((-1, 0, 0), (12, 10, 5))(subject)


def test_contrasts_on_grids_of_their_own_are_refused_where_they_must_not_be(
    subject: Subject,
) -> None:
    apart = with_t1w(subject, Volume(subject.images["t1w"].data[1:], LPS))
    with pytest.raises(MrcontrastError, match="one grid"):
        CutBlock((0, 0, 0), (4, 4, 4))(apart)


def test_the_grid_takes_each_contrast_from_where_it_is(subject: Subject) -> None:
    shifted = subject.images["flair"].affine.copy()
    shifted[:3, 3] += (4, -6, 8)  # two voxels along each axis
    rolled = np.roll(subject.images["flair"].data, (2, -2, -2), (0, 1, 2))
    moved = with_t1w(subject, Volume(rolled, shifted))
    grid = ToGrid(ModelGrid(2.0, (12, 16, 16)))
    done = grid(moved)
    inside = ndimage.binary_erosion(done.brain_mask)  # away from rolled voxels
    assert inside.any()
    np.testing.assert_allclose(
        done.images["t1w"].data[inside], done.images["flair"].data[inside], atol=1e-4
    )


def test_the_grid_can_stand_at_one_place_for_all(subject: Subject) -> None:
    fixed = ToGrid(ModelGrid(2.0, (24, 24, 24)), centre_mm=(9.0, 16.0, 5.0))(subject)
    middle = fixed.images["flair"].affine @ [11.5, 11.5, 11.5, 1]
    np.testing.assert_allclose(middle[:3], (9, 16, 5))
    with pytest.raises(MrcontrastError, match=r"16\.7% is outside"):
        ToGrid(ModelGrid(2.0, (24, 24, 24)), centre_mm=(29.0, 16.0, 5.0))(subject)


def test_scanned_slices_are_those_of_most_of_the_brain() -> None:
    field = np.zeros((2, 3, 8), bool)
    field[:, :, 2:6] = True
    field[0, 0, 1] = field[0, 0, 6] = True
    brain = np.zeros_like(field)
    brain[:, :2, 3:7] = True
    assert measure_scanned(field, brain) == [2, 5]
    assert measure_scanned(np.zeros_like(field), brain) is None
    assert measure_scanned(field, np.zeros_like(field)) is None
