from dataclasses import replace

import numpy as np
import pytest
from omegaconf import OmegaConf

from mrcontrast.config.build import build
from mrcontrast.errors import UsageError
from mrcontrast.phantom import (
    AnatomyRanges,
    LesionRanges,
    PhantomConfig,
    PhantomSubject,
    ScannerRanges,
    make_subject,
)
from mrcontrast.phantom.config import SequenceRanges, SpinEchoRanges

CSF, GM, WM, LESION = 1, 2, 3, 4


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * float((a & b).sum()) / float(a.sum() + b.sum())


def means(image: np.ndarray, labels: np.ndarray) -> list[float]:
    return [float(np.median(image[labels == label])) for label in (CSF, GM, WM)]


def test_same_seed_same_voxels(coarse: PhantomConfig) -> None:
    first, second = make_subject(7, coarse), make_subject(7, coarse)
    for name in ("labels", "brain_mask", "lesion_mask"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    np.testing.assert_array_equal(first.images["flair"].data, second.images["flair"].data)
    np.testing.assert_array_equal(first.images["t1w"].data, second.images["t1w"].data)
    assert first.tags == second.tags


@pytest.mark.parametrize(
    ("spacing_mm", "shape"),
    [
        (4.0, (45, 54, 48)),
        (2.0, (90, 108, 96)),
        pytest.param(1.0, (180, 216, 192), marks=pytest.mark.slow),
    ],
)
def test_builds_at_each_spacing(spacing_mm: float, shape: tuple[int, ...]) -> None:
    subject = make_subject(1, PhantomConfig(spacing_mm=spacing_mm, anatomy_spacing_mm=2.0))
    for volume in (subject.images["flair"], subject.images["t1w"]):
        assert volume.shape == shape
        assert volume.data.dtype == np.float32
        assert volume.affine.dtype == np.float64
        assert volume.spacing_mm == pytest.approx([spacing_mm] * 3)
        assert volume.orientation == "RAS"
    assert subject.labels.dtype == np.uint8
    assert 1.1e6 < subject.brain_mask.sum() * spacing_mm**3 < 2.6e6  # mm^3


def test_same_brain_at_each_spacing() -> None:
    fine = make_subject(2, PhantomConfig(spacing_mm=2.0, anatomy_spacing_mm=2.0))
    coarse = make_subject(2, PhantomConfig(spacing_mm=4.0, anatomy_spacing_mm=2.0))
    blocks = fine.brain_mask.reshape(45, 2, 54, 2, 48, 2).mean(axis=(1, 3, 5))
    assert dice(blocks > 0.5, coarse.brain_mask) > 0.99
    assert fine.tags == coarse.tags


def test_t1w_and_flair_order_the_tissues(subjects: list[PhantomSubject]) -> None:
    for subject in subjects:
        csf, gm, wm = means(subject.images["t1w"].data, subject.labels)
        assert wm > 1.15 * gm
        assert gm > 1.3 * csf
        csf, gm, wm = means(subject.images["flair"].data, subject.labels)
        assert gm > wm
        assert wm > 1.5 * csf


def test_lesions_are_bright_on_flair_and_dark_on_t1w(subjects: list[PhantomSubject]) -> None:
    assert sum(subject.lesion_mask.sum() for subject in subjects) > 50
    for subject in subjects:
        lesion = subject.lesion_mask
        if lesion.sum() > 5:
            wm = subject.labels == WM
            assert np.median(subject.images["flair"].data[lesion]) > 1.2 * np.median(
                subject.images["flair"].data[wm]
            )
            assert np.median(subject.images["t1w"].data[lesion]) < 0.95 * np.median(
                subject.images["t1w"].data[wm]
            )


def test_further_contrasts_leave_flair_and_t1w_as_they_are(coarse: PhantomConfig) -> None:
    two = make_subject(7, coarse)
    four = make_subject(7, coarse, ["t2w", "t1w", "pd", "flair"])
    assert list(four.images) == ["t2w", "t1w", "pd", "flair"]
    for name, volume in two.images.items():
        np.testing.assert_array_equal(volume.data, four.images[name].data)
    alone = make_subject(7, coarse, ["t2w"])
    np.testing.assert_array_equal(alone.images["t2w"].data, four.images["t2w"].data)
    assert two.tags.items() < four.tags.items()
    assert not set(alone.tags) & {"t1w_tr_ms", "flair_tr_ms"}


def test_t2w_and_pd_order_the_tissues(coarse: PhantomConfig) -> None:
    for seed in range(3):
        subject = make_subject(seed, coarse, ["t2w", "pd"])
        csf, gm, wm = means(subject.images["t2w"].data, subject.labels)
        assert csf > gm > 1.2 * wm
        _, gm, wm = means(subject.images["pd"].data, subject.labels)
        assert gm > 1.03 * wm
        lesion = subject.lesion_mask
        for image in (subject.images["t2w"].data, subject.images["pd"].data):
            if lesion.sum() > 5:
                assert np.median(image[lesion]) > 1.05 * np.median(image[subject.labels == WM])


def test_a_contrast_that_the_config_names_is_drawn(coarse: PhantomConfig) -> None:
    echo = SpinEchoRanges((2000.0, 2000.0), (50.0, 50.0), slice_thickness_mm=8.0)
    sequences = SequenceRanges(spin_echo={"mixed": echo})
    config = replace(coarse, scanner=ScannerRanges(sequences=sequences))
    subject = make_subject(1, config, ["mixed"])
    assert (subject.tags["mixed_te_ms"], subject.tags["mixed_slice_thickness_mm"]) == (50.0, 8.0)
    with pytest.raises(UsageError, match=r"among t1w, flair, mixed, got t2w"):
        make_subject(1, config, ["t2w"])


def test_masks_and_labels_agree(subjects: list[PhantomSubject]) -> None:
    for subject in subjects:
        np.testing.assert_array_equal(subject.labels > 0, subject.brain_mask)
        np.testing.assert_array_equal(subject.labels == LESION, subject.lesion_mask)
        for image in (subject.images["flair"].data, subject.images["t1w"].data):
            assert not image[~subject.brain_mask].any()
            assert (image[subject.brain_mask] > 0).all()
            assert np.isfinite(image).all()


def test_brain_fits_the_field_of_view(subjects: list[PhantomSubject]) -> None:
    for subject in subjects:
        inside = subject.brain_mask[1:-1, 1:-1, 1:-1]
        assert inside.sum() == subject.brain_mask.sum()


def test_tissue_volumes_are_plausible(subjects: list[PhantomSubject]) -> None:
    for subject in subjects:
        csf, gm, wm = (float((subject.labels == k).mean()) for k in (CSF, GM, WM))
        brain = float(subject.brain_mask.mean())
        assert 0.05 < csf / brain < 0.35
        assert 0.35 < gm / brain < 0.60
        assert 0.25 < wm / brain < 0.48


def test_subjects_differ(subjects: list[PhantomSubject]) -> None:
    grey = [subject.labels == GM for subject in subjects]
    for i in range(len(grey)):
        for j in range(i):
            assert dice(grey[i], grey[j]) < 0.9
    assert len({tuple(subject.tags.values()) for subject in subjects}) == len(subjects)


def test_t1w_is_no_look_up_of_flair(subjects: list[PhantomSubject]) -> None:
    # even the best curve leaves a good part of the variance: GM and lesions share intensities
    for subject in subjects:
        inside = subject.brain_mask
        flair, t1w = subject.images["flair"].data[inside], subject.images["t1w"].data[inside]
        bins = np.digitize(flair, np.quantile(flair, np.linspace(0, 1, 65)[1:-1]))
        mean = np.bincount(bins, t1w) / np.bincount(bins)
        assert np.var(t1w - mean[bins]) > 0.2 * np.var(t1w)


def test_no_lesions_when_none_are_asked_for(coarse: PhantomConfig) -> None:
    subject = make_subject(3, replace(coarse, lesions=LesionRanges(count=(0, 0))))
    assert not subject.lesion_mask.any()
    assert subject.tags["lesion_count"] == 0


def test_a_range_leaves_the_other_parts_alone(coarse: PhantomConfig) -> None:
    quiet = replace(coarse, scanner=ScannerRanges(snr=(1000, 1000)))
    loud, calm = make_subject(4, coarse), make_subject(4, quiet)
    np.testing.assert_array_equal(loud.labels, calm.labels)
    assert calm.tags["flair_snr"] == 1000


def test_noise_follows_the_snr(coarse: PhantomConfig) -> None:
    def image(snr: float) -> np.ndarray:
        scanner = ScannerRanges(snr=(snr, snr))
        return make_subject(4, replace(coarse, scanner=scanner)).images["t1w"].data

    subject = make_subject(4, coarse)
    wm = subject.labels == WM
    clean = image(1e6)
    noise = (image(20.0) - clean)[wm]
    assert noise.std() / clean[wm].mean() == pytest.approx(1 / 20, rel=0.15)


def test_thick_slices_change_flair_only(coarse: PhantomConfig) -> None:
    scanner = ScannerRanges(flair_slice_thickness_mm=12.0)
    thin, thick = make_subject(5, coarse), make_subject(5, replace(coarse, scanner=scanner))
    np.testing.assert_array_equal(thin.images["t1w"].data, thick.images["t1w"].data)
    assert thick.images["flair"].shape == thin.images["flair"].shape

    def roughness(image: np.ndarray) -> float:
        return float(np.abs(np.diff(image[10:-10, 10:-10, 15:30], axis=2)).mean())

    assert roughness(thick.images["flair"].data) < 0.7 * roughness(thin.images["flair"].data)


def test_atrophy_opens_ventricles_and_sulci(coarse: PhantomConfig) -> None:
    def csf(growth_mm: float, sulcal: float) -> int:
        ranges = AnatomyRanges(ventricle_growth_mm=[growth_mm] * 2, sulcal_csf=[sulcal] * 2)
        return int((make_subject(6, replace(coarse, anatomy=ranges)).labels == CSF).sum())

    young = csf(-1.0, -0.3)
    assert csf(4.0, -0.3) > 1.05 * young
    assert csf(-1.0, 1.2) > 1.3 * young


def test_config_builds_from_yaml() -> None:
    node = OmegaConf.create(
        {
            "_target_": "mrcontrast.phantom.PhantomConfig",
            "spacing_mm": 4.0,
            "anatomy_spacing_mm": 2.0,
            "anatomy": {
                "_target_": "mrcontrast.phantom.AnatomyRanges",
                "deformation_mm": [2.0, 1.0],
                "size_scale": [1.0, 1.0],
            },
            "lesions": {"_target_": "mrcontrast.phantom.LesionRanges", "count": [2, 4]},
            "scanner": {
                "_target_": "mrcontrast.phantom.ScannerRanges",
                "field_strengths_t": [1.5],
            },
        }
    )
    subject = make_subject(0, build(node))
    assert subject.tags["field_strength_t"] == 1.5
    assert 2 <= subject.tags["lesion_count"] <= 4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LesionRanges(count=(5, 2)), "count"),
        (lambda: ScannerRanges(snr=(30.0,)), "snr"),
        (lambda: AnatomyRanges(deformation_mm=(1.0,)), "deformation_scale_mm"),
        (lambda: PhantomConfig(spacing_mm=0.0), "spacing_mm"),
        (
            lambda: make_subject(0, PhantomConfig(spacing_mm=2.5, anatomy_spacing_mm=2.5)),
            r"got 2\.5",
        ),
        (lambda: make_subject(-1), "seed"),
    ],
)
def test_a_wrong_config_is_refused(make: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()  # type: ignore[operator]
