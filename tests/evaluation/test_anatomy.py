"""One real image against changed copies of itself, each change known."""

import numpy as np
import pytest
from scipy import ndimage

from mrcontrast.evaluation.anatomy import Anatomy, score_volume
from mrcontrast.evaluation.metric_list import METRICS
from mrcontrast.metrics.score_regions import Scores
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


def scores_of(image: np.ndarray, anatomy: Anatomy, per: str = "brain") -> Scores:
    """Return the metrics of a whole volume, those of the brain or those of the lesions."""
    metrics = [metric for metric in METRICS if metric.per == per]
    return score_volume(image, anatomy, metrics, (0.0, 1.0), num_scales=1).get(per, {})


def test_without_masks_there_are_two_regions(anatomy: Anatomy) -> None:
    bare = Anatomy(anatomy.image, anatomy.brain, anatomy.spacing_mm, 2)
    assert list(bare.regions) == ["brain", "image"]
    assert scores_of(anatomy.image, bare, "lesion") == {}
    nothing = Anatomy(anatomy.image, anatomy.brain, (3.0, 3.0, 3.0), 2, anatomy.brain & False)
    assert list(nothing.regions) == ["brain", "image", "healthy"]
    assert scores_of(anatomy.image, nothing, "lesion") == {}
    no_white = Anatomy(
        anatomy.image,
        anatomy.brain,
        (3.0, 3.0, 3.0),
        2,
        anatomy.lesions,
        np.ones_like(anatomy.labels),
    )
    assert scores_of(anatomy.image, no_white, "lesion") == {}


def test_the_truth_itself(anatomy: Anatomy) -> None:
    scores = scores_of(anatomy.image, anatomy)
    expected = {"histogram_w1": 0, "gradient_w1": 0, "sharpness": 1, "through_plane": 1}
    assert {name: scores[name] for name in expected} == pytest.approx(expected)
    for name in ("csf", "gm", "wm"):
        assert (scores[f"dice_{name}"], scores[f"volume_{name}"]) == (1, 0)
        assert scores[f"{name}_ml_real"] == scores[f"{name}_ml_synthetic"] > 100
    lesions = scores_of(anatomy.image, anatomy, "lesion")
    assert lesions["contrast_real"] == lesions["contrast_synthetic"] < -0.05
    assert (lesions["contrast_error"], lesions["contrast_kept"]) == (0, 1)
    assert [*scores, *lesions] == [metric.name for metric in METRICS if metric.per != "region"]


def test_smoothing_is_seen_as_loss_of_sharpness(anatomy: Anatomy) -> None:
    smooth = ndimage.gaussian_filter(anatomy.image, 1)
    scores = scores_of(smooth, anatomy)
    assert scores["sharpness"] < 0.75
    assert scores["gradient_w1"] > 0.005
    assert scores["dice_csf"] < 0.9


def test_slices_that_flicker(anatomy: Anatomy) -> None:
    sign = np.where(np.arange(anatomy.image.shape[2]) % 2, 1, -1)
    flicker = anatomy.image + 0.05 * sign * anatomy.brain
    assert scores_of(flicker, anatomy)["through_plane"] > 1.2
    assert scores_of(flicker, anatomy)["histogram_w1"] < 0.03
    across = ndimage.gaussian_filter(anatomy.image, (0, 0, 1))
    assert scores_of(across, anatomy)["through_plane"] < 0.85


def test_a_lesion_painted_over(anatomy: Anatomy) -> None:
    assert anatomy.lesions is not None
    white = float(np.median(anatomy.image[anatomy.ring]))
    erased = np.where(anatomy.lesions, white, anatomy.image)
    found = scores_of(erased, anatomy, "lesion")
    assert found["contrast_kept"] == pytest.approx(0, abs=0.15)
    assert found["contrast_error"] == pytest.approx(-found["contrast_real"], rel=0.15)


def test_dilated_ventricles_are_more_csf_and_less_white_matter(anatomy: Anatomy) -> None:
    assert anatomy.labels is not None
    csf = anatomy.labels == 1
    dark = float(np.median(anatomy.image[csf]))
    dilated = np.where(ndimage.binary_dilation(csf) & anatomy.brain, dark, anatomy.image)
    found = scores_of(dilated, anatomy)
    assert found["volume_csf"] > 20
    assert found["volume_gm"] < -10
    assert found["dice_csf"] < 0.8


def test_a_flat_image_has_figures(anatomy: Anatomy) -> None:
    flat = np.full_like(anatomy.image, 0.5)
    assert scores_of(flat, anatomy)["sharpness"] == 0
    assert np.isnan(scores_of(flat, anatomy)["through_plane"])
    assert scores_of(flat, anatomy)["volume_wm"] == pytest.approx(-100)
