import numpy as np
import pytest
from experiments.preparation.motions import rigid_matrix, surface_points

from mrcontrast.errors import MrcontrastError
from mrcontrast.imaging.alignment import (
    Alignment,
    check_alignment,
    displacement_mm,
    fit_rigid,
    foreground,
    without_scalp,
)
from mrcontrast.phantom import PhantomConfig, PhantomSubject, make_subject
from mrcontrast.phantom.config import ScannerRanges
from mrcontrast.storage.volume import Volume

CENTRE_MM = (0.0, -17.0, 5.0)


@pytest.fixture(scope="module")
def pair() -> list[PhantomSubject]:
    """Two subjects with slices of 4 mm, noise and shading."""
    scanner = ScannerRanges(
        flair_slice_thickness_mm=4.0, snr=(15.0, 20.0), bias_amplitude=(0.2, 0.3)
    )
    config = PhantomConfig(3.0, anatomy_spacing_mm=3.0, scanner=scanner)
    return [make_subject(seed, config) for seed in (7, 8)]


def check(subject: PhantomSubject, t1w: Volume) -> Alignment:
    return check_alignment(subject.images["flair"], t1w, subject.brain_mask)


def moved_by(volume: Volume, matrix: np.ndarray) -> Volume:
    return Volume(volume.data, matrix @ volume.affine)


def test_a_pair_overlays_and_so_it_does_on_other_axes(pair: list[PhantomSubject]) -> None:
    subject = pair[0]
    found = check(subject, subject.images["t1w"])
    assert found.aligned
    assert found.displacement_mm < 0.8
    assert found.residual_mm < 2
    assert found.overlap > 0.99
    affine = subject.images["t1w"].affine.copy()
    affine[:3, 3] += affine[:3, 0] * (subject.images["t1w"].shape[0] - 1)
    affine[:, 0] *= -1
    flipped = Volume(subject.images["t1w"].data[::-1].copy(), affine)
    assert check(subject, flipped).displacement_mm == pytest.approx(found.displacement_mm, abs=0.1)


@pytest.mark.parametrize(
    ("rotation_deg", "shift_mm"),
    [
        ((0, 0, 0), (4, 0, 0)),
        ((0, 0, 0), (0, 0, -4)),
        ((0, 0, 0), (5, 5, 4)),
        ((6, 0, 0), (0, 0, 0)),
    ],
)
def test_an_offset_is_flagged_and_measured(
    pair: list[PhantomSubject], rotation_deg: tuple[float, ...], shift_mm: tuple[float, ...]
) -> None:
    subject = pair[0]
    truth = rigid_matrix(rotation_deg, shift_mm, CENTRE_MM)
    found = check(subject, moved_by(subject.images["t1w"], truth))
    assert not found.aligned
    points = surface_points(subject.brain_mask, subject.images["flair"].affine)
    assert displacement_mm(found.motion, truth, points).max() < 1.5
    assert found.residual_mm < 3


def test_another_brain_is_flagged_by_what_blocks_disagree_about(
    pair: list[PhantomSubject],
) -> None:
    for one, other in (pair, pair[::-1]):
        found = check(one, other.images["t1w"])
        assert not found.aligned
        assert found.residual_mm > 4


def test_left_for_right_is_flagged(pair: list[PhantomSubject]) -> None:
    subject = pair[0]
    swapped = Volume(subject.images["t1w"].data[::-1].copy(), subject.images["t1w"].affine)
    assert not check(subject, swapped).aligned


def test_limits_are_what_suspicion_is_counted_in(pair: list[PhantomSubject]) -> None:
    subject = pair[0]
    moved = moved_by(subject.images["t1w"], rigid_matrix((0, 0, 0), (0, 4, 0), CENTRE_MM))
    loose = check_alignment(subject.images["flair"], moved, subject.brain_mask, 6.0, 9.0)
    assert loose.aligned
    expected = max(loose.displacement_mm / 6, loose.residual_mm / 9)
    assert loose.suspicion == pytest.approx(expected)
    assert set(loose.measures()) >= {"displacement_mm", "residual_mm", "suspicion"}


def test_without_a_mask_the_brain_is_what_is_not_zero(pair: list[PhantomSubject]) -> None:
    subject = pair[1]
    assert check_alignment(subject.images["flair"], subject.images["t1w"]).aligned
    noisy = np.abs(np.random.default_rng(0).normal(0, 1, subject.images["flair"].shape)).astype(
        np.float32
    )
    head = Volume(
        subject.images["flair"].data + 0.02 * subject.images["flair"].data.max() * noisy,
        subject.images["flair"].affine,
    )
    found = foreground(head)
    assert 0.9 < found.sum() / subject.brain_mask.sum() < 1.2


def test_a_head_is_compared_inside_its_scalp() -> None:
    """A ball of 10 cm is a head: 15 mm are peeled off; one of 6 cm is a brain and stays."""
    axes = np.meshgrid(*(3.0 * np.arange(-36, 37),) * 3, indexing="ij")
    radius = np.sqrt(sum(axis**2 for axis in axes))
    np.testing.assert_array_equal(without_scalp(radius < 60), radius < 60)
    peeled = without_scalp(radius < 100)
    assert radius[peeled].max() < 88
    assert peeled[radius < 80].all()


def test_what_cannot_be_compared_is_refused(pair: list[PhantomSubject]) -> None:
    subject = pair[0]
    far = moved_by(subject.images["t1w"], rigid_matrix((0, 0, 0), (300, 0, 0), CENTRE_MM))
    with pytest.raises(MrcontrastError, match="covers 0%"):
        check(subject, far)
    speck = np.zeros(subject.images["flair"].shape, bool)
    speck[30, 30, 30] = True
    with pytest.raises(MrcontrastError, match="brain to compare"):
        check_alignment(subject.images["flair"], subject.images["t1w"], speck)
    with pytest.raises(MrcontrastError, match="empty"):
        check_alignment(
            subject.images["flair"],
            subject.images["t1w"],
            np.zeros(subject.images["flair"].shape, bool),
        )


def test_displacement_known_by_hand() -> None:
    turned = rigid_matrix((0, 0, 90), (0, 0, 2), (0, 0, 0))
    points = np.array([[0.0, 0, 0], [1, 0, 0]])
    np.testing.assert_allclose(displacement_mm(turned, np.eye(4), points), [2, np.sqrt(6)])


def test_an_exact_motion_is_fitted_and_weight_0_does_not_count() -> None:
    points = np.random.default_rng(0).normal(0, 40, (30, 3))
    truth = rigid_matrix((10, -20, 5), (3, 4, 5), (1, 1, 1))
    targets = points @ truth[:3, :3].T + truth[:3, 3]
    weight = np.ones(30)
    targets[:4] += 50
    weight[:4] = 0
    np.testing.assert_allclose(fit_rigid(points, targets, weight), truth, atol=1e-9)
