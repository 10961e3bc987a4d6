"""MONAI's dictionary transforms as operators of a recipe."""

from dataclasses import replace

import numpy as np
import pytest
from monai.transforms import GaussianSmooth
from scipy import ndimage

from mrcontrast.config.build import build
from mrcontrast.errors import MrcontrastError
from mrcontrast.preparation.operators.monai_transform import MonaiTransform, as_operator
from mrcontrast.preparation.session import Dropped
from mrcontrast.preparation.subject import Subject
from mrcontrast.storage.volume import Volume
from preparation_files import AFFINE, brain, raw_volume, recipe_of
from toy.sources import ToySource

EVERYTHING = ["flair", "t1w", "brain_mask", "lesion_mask", "labels"]


@pytest.fixture
def subject() -> Subject:
    images = {"flair": raw_volume(0, 300), "t1w": raw_volume(1, 900)}
    lesion = np.zeros_like(brain())
    lesion[8:10, 9:12, 10:14] = True
    labels = (brain() * 2 + lesion * 2).astype(np.uint8)
    return Subject(images, brain(), lesion, labels, name="sub-01")


def operator(name: str, seed: int = 0, place: int = 0, **options: object) -> MonaiTransform:
    built = as_operator(build({"_target_": f"monai.transforms.{name}", **options}), seed, place)
    assert isinstance(built, MonaiTransform)
    return built


def test_an_intensity_transform_changes_its_keys_only(subject: Subject) -> None:
    done = operator("GaussianSmoothd", keys=["flair"], sigma=1.0)(subject)
    expected = GaussianSmooth(sigma=1.0)(subject.images["flair"].data[None])
    np.testing.assert_array_equal(done.images["flair"].data, expected[0])
    assert not np.array_equal(done.images["flair"].data, subject.images["flair"].data)
    np.testing.assert_array_equal(done.images["t1w"].data, subject.images["t1w"].data)
    for name, volume in done.images.items():
        np.testing.assert_array_equal(volume.affine, subject.images[name].affine)
        assert (volume.data.dtype, volume.affine.dtype) == (np.float32, np.float64)
    np.testing.assert_array_equal(done.labels, subject.labels)


def test_a_turn_moves_masks_and_affine_along(subject: Subject) -> None:
    done = operator("Rotate90d", keys=EVERYTHING, k=1, spatial_axes=[0, 2])(subject)
    assert done.like.shape == (22, 26, 20)
    assert (done.brain_mask.dtype, done.labels.dtype) == (bool, np.uint8)

    def world(session: Subject) -> np.ndarray:
        index = np.argwhere(session.lesion_mask)
        return np.sort(index @ session.like.affine[:3, :3].T + session.like.affine[:3, 3], axis=0)

    np.testing.assert_allclose(world(done), world(subject), atol=1e-4)
    np.testing.assert_array_equal(done.labels[done.lesion_mask], 4)
    before, after = (s.images["t1w"].data[s.lesion_mask] for s in (subject, done))
    np.testing.assert_array_equal(np.sort(before), np.sort(after))


def test_another_spacing_changes_grid_and_labels_stay_whole(subject: Subject) -> None:
    modes = ["bilinear", "bilinear", "bilinear", "bilinear", "nearest"]
    done = operator("Spacingd", keys=EVERYTHING, pixdim=[2.0, 2.0, 2.0], mode=modes)(subject)
    for volume in done.images.values():
        assert volume.spacing_mm == pytest.approx((2, 2, 2))
    assert done.brain_mask.sum() * 8 == pytest.approx(subject.brain_mask.sum() * 27, rel=0.05)
    assert set(np.unique(done.labels)) == {0, 2, 4}
    centre = ndimage.center_of_mass(subject.brain_mask)
    moved = ndimage.center_of_mass(done.brain_mask)
    np.testing.assert_allclose(
        done.like.affine @ [*moved, 1], subject.like.affine @ [*centre, 1], atol=0.5
    )


def test_a_random_transform_depends_on_seed_session_and_place(subject: Subject) -> None:
    def noisy(seed: int = 0, place: int = 0, name: str = "sub-01") -> np.ndarray:
        options = {"keys": ["flair"], "prob": 1.0, "std": 5.0, "sample_std": False}
        step = operator("RandGaussianNoised", seed, place, **options)
        return step(replace(subject, name=name)).images["flair"].data

    first = noisy()
    np.testing.assert_array_equal(noisy(), first)
    assert np.std(first - subject.images["flair"].data) == pytest.approx(5, rel=0.05)
    for other in (noisy(seed=1), noisy(place=1), noisy(name="sub-02")):
        assert not np.array_equal(other, first)


def test_the_input_is_not_changed_and_a_missing_mask_is_skipped(subject: Subject) -> None:
    before = subject.images["flair"].data.copy()
    healthy = replace(subject, lesion_mask=None, labels=None)
    done = operator("Flipd", keys=EVERYTHING, spatial_axis=1)(healthy)
    np.testing.assert_array_equal(subject.images["flair"].data, before)
    np.testing.assert_array_equal(done.brain_mask, subject.brain_mask[:, ::-1])
    assert done.lesion_mask is None


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("Flipd", {"keys": ["flair", "t1w"], "spatial_axis": 0}, "brain_mask on the grid of flair"),
        ("GaussianSmoothd", {"keys": ["t2w"], "sigma": 1.0}, "flair or t1w, got t2w"),
        ("Spacingd", {"keys": EVERYTHING, "pixdim": [2.0] * 3}, "labels of whole numbers"),
        ("RepeatChanneld", {"keys": ["flair"], "repeats": 2}, "one channel of three axes"),
    ],
)
def test_results_that_are_no_session(
    subject: Subject, name: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(MrcontrastError, match=message):
        operator(name, **options)(subject)


def test_a_recipe_wraps_and_names_its_transforms() -> None:
    recipe = recipe_of(ToySource(("good", "good")))
    smooth = build({"_target_": "monai.transforms.GaussianSmoothd", "keys": ["t2w"], "sigma": 1.0})
    operators = [*recipe.operators[:1], smooth, *recipe.operators[1:]]
    wrapped = type(recipe)(
        recipe.sources, operators, recipe.grid, recipe.normalisers, recipe.split, seed=7
    )
    assert "GaussianSmooth" in wrapped.identity[1]
    assert "seed=7, place=1" in wrapped.identity[1]
    result = wrapped.apply(wrapped.index()[0][0])
    assert isinstance(result, Dropped)
    assert result.operator == "GaussianSmoothd"


def test_its_text_holds_the_settings_and_nothing_of_the_object() -> None:
    options = {"keys": ["flair"], "prob": 0.5, "rotate_range": 0.1, "mode": "nearest"}
    first, second = (operator("RandAffined", 3, 1, **options) for _ in range(2))
    first(Subject({"flair": raw_volume(0, 300)}, name="sub-01"))
    assert repr(first) == repr(second)
    assert repr(operator("RandAffined", 3, 1, **options | {"prob": 0.4})) != repr(first)


def test_other_operators_stay_as_they_are() -> None:
    assert as_operator(len, 0, 0) is len
    assert Volume(brain(), AFFINE).shape == (20, 26, 22)
