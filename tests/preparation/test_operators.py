from dataclasses import replace

import numpy as np
import pytest

from mrcontrast.errors import MrcontrastError
from mrcontrast.preparation.operators import BrainMask, MeasureVolumes, Normalise, ToGrid
from mrcontrast.preparation.subject import Subject
from mrcontrast.storage.volume import Volume
from mrcontrast.transforms.grid import ModelGrid
from mrcontrast.transforms.normalise import MinMaxNormaliser

SHAPE = (20, 24, 22)
AFFINE = np.diag([-2.0, 2.0, 2.0, 1.0])


def make_subject() -> Subject:
    rng = np.random.default_rng(0)
    mask = np.zeros(SHAPE, bool)
    mask[4:16, 4:20, 4:18] = True
    lesion = np.zeros(SHAPE, bool)
    lesion[6:10, 8:12, 8:12] = True
    images = [rng.uniform(1, 9, SHAPE).astype(np.float32) * mask for _ in range(2)]
    return Subject(
        {"flair": Volume(images[0], AFFINE), "t1w": Volume(images[1] * 100, AFFINE)},
        mask,
        lesion,
        (mask * 2 + lesion * 2).astype(np.uint8),
    )


def test_a_given_mask_is_kept_and_a_missing_one_is_found() -> None:
    subject = make_subject()
    given = np.zeros(SHAPE, bool)
    given[5:7] = True
    assert BrainMask()(replace(subject, brain_mask=given)).brain_mask is given
    found = BrainMask()(replace(subject, brain_mask=None)).brain_mask
    np.testing.assert_array_equal(found, subject.brain_mask)


def test_a_head_on_a_background_of_zeros_is_no_brain() -> None:
    data = np.zeros(SHAPE, np.float32)
    data[2:-2, 2:-2, 2:-2] = 1  # 16 x 20 x 18 voxels of 8 mm: 2949 ml
    head = Volume(data, np.diag([-8.0, 8.0, 8.0, 1.0]))
    with pytest.raises(MrcontrastError, match=r"skull-stripped volume, got 2949 ml"):
        BrainMask()(Subject({"flair": head}))
    given = np.zeros(SHAPE, bool)
    given[4:8] = True
    assert BrainMask()(Subject({"flair": head}, given)).brain_mask is given


def test_the_grid_carries_everything_along() -> None:
    subject = make_subject()
    gridded = ToGrid(ModelGrid(2.0, (16, 20, 18)))(subject)
    for volume in (gridded.images["flair"], gridded.images["t1w"]):
        assert volume.shape == (16, 20, 18)
        assert volume.orientation == "RAS"
    assert gridded.brain_mask.sum() == subject.brain_mask.sum()
    assert gridded.lesion_mask.sum() == subject.lesion_mask.sum()
    np.testing.assert_array_equal(gridded.labels == 4, gridded.lesion_mask)
    np.testing.assert_array_equal(gridded.labels > 0, gridded.brain_mask)
    assert gridded.images["t1w"].data[gridded.lesion_mask].sum() == pytest.approx(
        subject.images["t1w"].data[subject.lesion_mask].sum(), rel=1e-4
    )


def test_a_brain_that_does_not_fit_is_refused() -> None:
    with pytest.raises(MrcontrastError, match=r"fits \(8, 16, 16\) voxels of 2\.0 mm"):
        ToGrid(ModelGrid(2.0, (8, 16, 16)))(make_subject())


def test_normalised_volumes_fill_zero_to_one_and_are_zero_outside() -> None:
    subject = make_subject()
    subject.images["flair"].data[0, 0, 0] = subject.images["t1w"].data[0, 0, 0] = 777  # skull
    done = Normalise({"default": MinMaxNormaliser()})(subject)
    for key, volume in done.images.items():
        assert volume.data.dtype == np.float32
        assert volume.data.min() == 0
        assert volume.data.max() == 1
        assert not volume.data[~subject.brain_mask].any()
        raw = subject.images[key].data[subject.brain_mask]
        again = done.normalisers[key].invert(volume.data)[subject.brain_mask]
        np.testing.assert_allclose(again, raw, rtol=1e-4)


def test_volumes_by_hand() -> None:
    measures = MeasureVolumes()(make_subject()).measures
    assert measures == {"brain_ml": 12 * 16 * 14 * 8 / 1000, "lesion_ml": 4**3 * 8 / 1000}
    healthy = replace(make_subject(), lesion_mask=None)
    assert "lesion_ml" not in MeasureVolumes()(healthy).measures


def test_a_recipe_without_a_mask_operator_says_so() -> None:
    with pytest.raises(MrcontrastError, match="BrainMask"):
        ToGrid(ModelGrid(2.0, (16, 20, 18)))(replace(make_subject(), brain_mask=None))
