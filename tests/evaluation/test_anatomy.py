"""One real image against changed copies of itself, each change known."""

import numpy as np
import pytest
from scipy import ndimage

from mrcontrast.evaluation.anatomy import Anatomy
from mrcontrast.metrics.definitions import LESIONS, STRUCTURE, VOLUMES
from mrcontrast.phantom import PhantomSubject


@pytest.fixture(scope="module")
def anatomy(phantoms: list[PhantomSubject]) -> Anatomy:
    subject = phantoms[0]
    image = subject.images["t1w"].data / np.percentile(
        subject.images["t1w"].data[subject.brain_mask], 99.5
    )
    return Anatomy(
        image, subject.brain_mask, (3.0, 3.0, 3.0), 2, subject.lesion_mask, subject.labels
    )


def test_regions_part_the_brain(anatomy: Anatomy) -> None:
    regions = anatomy.regions
    assert list(regions) == ["brain", "image", "lesion", "healthy", "csf", "gm", "wm"]
    counts = {name: int(v.sum()) for name, v in regions.items() if v is not None}
    assert counts["lesion"] + counts["healthy"] == counts["brain"]
    assert sum(counts[name] for name in ("csf", "gm", "wm", "lesion")) == counts["brain"]


def test_without_masks_there_are_two_regions(anatomy: Anatomy) -> None:
    bare = Anatomy(anatomy.image, anatomy.brain, anatomy.spacing_mm, 2)
    assert list(bare.regions) == ["brain", "image"]
    assert bare.compare_lesions(anatomy.image) == {}
    nothing = Anatomy(anatomy.image, anatomy.brain, (3.0, 3.0, 3.0), 2, anatomy.brain & False)
    assert list(nothing.regions) == ["brain", "image", "healthy"]
    assert nothing.compare_lesions(anatomy.image) == {}


def test_the_truth_itself(anatomy: Anatomy) -> None:
    texture, tissues = (
        anatomy.compare_texture(anatomy.image),
        anatomy.compare_tissues(anatomy.image),
    )
    assert texture == pytest.approx(
        {"histogram_w1": 0, "gradient_w1": 0, "sharpness": 1, "through_plane": 1}
    )
    for name in ("csf", "gm", "wm"):
        assert (tissues[f"dice_{name}"], tissues[f"volume_{name}"]) == (1, 0)
        assert tissues[f"{name}_ml_real"] == tissues[f"{name}_ml_synthetic"] > 100
    lesions = anatomy.compare_lesions(anatomy.image)
    assert lesions["contrast_real"] == lesions["contrast_synthetic"] < -0.05
    assert (lesions["contrast_error"], lesions["contrast_kept"]) == (0, 1)
    assert {*texture, *tissues} == {*STRUCTURE, *VOLUMES}
    assert set(lesions) == set(LESIONS)


def test_smoothing_is_seen_as_loss_of_sharpness(anatomy: Anatomy) -> None:
    smooth = ndimage.gaussian_filter(anatomy.image, 1)
    texture = anatomy.compare_texture(smooth)
    assert texture["sharpness"] < 0.75
    assert texture["gradient_w1"] > 0.005
    assert anatomy.compare_tissues(smooth)["dice_csf"] < 0.9


def test_slices_that_flicker(anatomy: Anatomy) -> None:
    sign = np.where(np.arange(anatomy.image.shape[2]) % 2, 1, -1)
    flicker = anatomy.image + 0.05 * sign * anatomy.brain
    assert anatomy.compare_texture(flicker)["through_plane"] > 1.2
    assert anatomy.compare_texture(flicker)["histogram_w1"] < 0.03
    across = ndimage.gaussian_filter(anatomy.image, (0, 0, 1))
    assert anatomy.compare_texture(across)["through_plane"] < 0.85


def test_a_lesion_painted_over(anatomy: Anatomy) -> None:
    assert anatomy.lesions is not None
    white = float(np.median(anatomy.image[anatomy.ring]))
    erased = np.where(anatomy.lesions, white, anatomy.image)
    found = anatomy.compare_lesions(erased)
    assert found["contrast_kept"] == pytest.approx(0, abs=0.15)
    assert found["contrast_error"] == pytest.approx(-found["contrast_real"], rel=0.15)


def test_dilated_ventricles_are_more_csf_and_less_white_matter(anatomy: Anatomy) -> None:
    assert anatomy.labels is not None
    csf = anatomy.labels == 1
    dark = float(np.median(anatomy.image[csf]))
    dilated = np.where(ndimage.binary_dilation(csf) & anatomy.brain, dark, anatomy.image)
    found = anatomy.compare_tissues(dilated)
    assert found["volume_csf"] > 20
    assert found["volume_gm"] < -10
    assert found["dice_csf"] < 0.8


def test_a_flat_image_has_figures(anatomy: Anatomy) -> None:
    flat = np.full_like(anatomy.image, 0.5)
    assert anatomy.compare_texture(flat)["sharpness"] == 0
    assert np.isnan(anatomy.compare_texture(flat)["through_plane"])
    assert anatomy.compare_tissues(flat)["volume_wm"] == pytest.approx(-100)
