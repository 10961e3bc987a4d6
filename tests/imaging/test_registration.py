from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from experiments.preparation.motions import rigid_matrix, surface_points
from experiments.preparation.scans import raw_sessions

from mrcontrast.errors import MrcontrastError
from mrcontrast.imaging import registration
from mrcontrast.imaging.alignment import displacement_mm
from mrcontrast.imaging.registration import (
    Registration,
    angle_deg,
    load_mni152,
    register_affine,
    register_rigid,
)
from mrcontrast.phantom import PhantomConfig, PhantomSubject, make_subject
from mrcontrast.phantom.config import ScannerRanges
from mrcontrast.storage.volume import Volume
from mrcontrast.transforms.grid import resample_to

pytest.importorskip("SimpleITK", reason="the extra prep is not installed")
CENTRE_MM = (0.0, -17.0, 5.0)


@pytest.fixture(scope="module")
def thick() -> PhantomSubject:
    """A phantom at 3 mm whose FLAIR has slices of 6 mm."""
    scanner = ScannerRanges(flair_slice_thickness_mm=6.0)
    return make_subject(3, PhantomConfig(3.0, anatomy_spacing_mm=3.0, scanner=scanner))


def every_other_slice(volume: Volume) -> Volume:
    affine = volume.affine.copy()
    affine[:, 2] *= 2
    affine[:3, 3] += volume.affine[:3, 2] / 2
    return Volume((volume.data[..., ::2] + volume.data[..., 1::2]) / 2, affine)


def on_grid_of(fixed: Volume, moving: Volume, found: Registration) -> np.ndarray:
    there = Volume(moving.data, np.linalg.inv(found.matrix) @ moving.affine)
    return resample_to(there, fixed.affine, fixed.shape)


def moved_by(volume: Volume, matrix: np.ndarray) -> Volume:
    """Put a volume elsewhere in the world: its points x go to ``matrix`` x."""
    return Volume(volume.data, matrix @ volume.affine)


@pytest.mark.parametrize(
    ("rotation_deg", "shift_mm"),
    [((4, -6, 3), (5, -8, 6)), ((25, 0, -8), (30, 12, -40))],
)
def test_known_offsets_of_thick_slices_are_found(
    thick: PhantomSubject, rotation_deg: tuple[float, ...], shift_mm: tuple[float, ...]
) -> None:
    truth = rigid_matrix(rotation_deg, shift_mm, CENTRE_MM)
    flair, t1w = every_other_slice(thick.images["flair"]), moved_by(thick.images["t1w"], truth)
    found = register_rigid(flair, t1w)
    points = surface_points(thick.brain_mask, thick.images["t1w"].affine)
    error = displacement_mm(found.matrix, truth, points)
    assert np.median(error) < 0.5
    assert error.max() < 1.0
    angle = found.rotation_deg
    assert angle == pytest.approx(np.linalg.norm(rotation_deg), abs=1.0)
    assert found.metric >= found.metric_before - 0.01


@pytest.mark.slow
def test_the_reverse_is_the_inverse_and_it_repeats(thick: PhantomSubject) -> None:
    truth = rigid_matrix((3, 2, -4), (4, 0, -3), CENTRE_MM)
    flair, t1w = every_other_slice(thick.images["flair"]), moved_by(thick.images["t1w"], truth)
    back = register_rigid(t1w, flair)
    points = surface_points(thick.brain_mask, thick.images["t1w"].affine)
    assert displacement_mm(np.linalg.inv(back.matrix), truth, points).max() < 1.0
    again = register_rigid(t1w, flair)
    np.testing.assert_array_equal(again.matrix, back.matrix)


@pytest.mark.slow
def test_the_image_lies_over_the_fixed_one(thick: PhantomSubject) -> None:
    truth = rigid_matrix((0, 0, 10), (6, 0, 0), CENTRE_MM)
    flair, t1w = thick.images["flair"], moved_by(thick.images["t1w"], truth)
    image = on_grid_of(flair, t1w, register_rigid(flair, t1w))
    inside = thick.brain_mask
    agreement = np.corrcoef(image[inside], thick.images["t1w"].data[inside])[0, 1]
    assert agreement > 0.97


@pytest.mark.slow
def test_a_mask_keeps_what_does_not_belong_out(thick: PhantomSubject) -> None:
    bright = thick.images["t1w"].data.copy()
    bright[:12] = bright.max() * 3  # a block beside the head, in one contrast alone
    truth = rigid_matrix((0, 5, 0), (3, 3, 0), CENTRE_MM)
    found = register_rigid(
        thick.images["flair"],
        moved_by(replace(thick.images["t1w"], data=bright), truth),
        thick.brain_mask,
    )
    points = surface_points(thick.brain_mask, thick.images["t1w"].affine)
    assert displacement_mm(found.matrix, truth, points).max() < 1.5


@pytest.mark.slow
def test_scales_are_found_by_twelve_parameters(thick: PhantomSubject) -> None:
    truth = rigid_matrix((2, 0, 4), (3, -2, 1), CENTRE_MM) @ np.diag([1.06, 0.95, 1.04, 1])
    found = register_affine(thick.images["flair"], moved_by(thick.images["t1w"], truth))
    points = surface_points(thick.brain_mask, thick.images["t1w"].affine)
    assert np.median(displacement_mm(found.matrix, truth, points)) < 0.7


@pytest.mark.slow
def test_a_phantom_returns_to_the_template(thick: PhantomSubject) -> None:
    away = rigid_matrix((10, -5, 8), (20, 30, -25), CENTRE_MM)
    head, template = moved_by(thick.images["t1w"], away), load_mni152(2)
    image = on_grid_of(template, head, register_affine(template, head))
    there, brain = image > 0.1 * image.max(), template.data > 0
    dice = 2 * (there & brain).sum() / (there.sum() + brain.sum())
    assert dice > 0.9


def test_two_volumes_that_never_meet_are_refused() -> None:
    noise = np.random.default_rng(0).random((12, 14, 16)).astype(np.float32)
    speck = np.zeros((3, 3, 3), np.float32)
    speck[1, 1, 1] = 1
    with pytest.raises(MrcontrastError, match="cannot be laid over"):
        register_rigid(Volume(noise, np.diag([9.0, 9, 9, 1])), Volume(speck, np.eye(4)))


@pytest.mark.slow
@pytest.mark.realdata
def test_a_real_session_lies_where_its_authors_put_it(real_data: Path) -> None:
    session = next(raw_sessions(real_data))
    found = register_rigid(session.flair, session.t1w)
    points = surface_points(session.brain, session.flair.affine)
    error = displacement_mm(found.matrix, session.to_t1w, points)
    assert np.median(error) < 0.5
    assert error.max() < 1.0


@pytest.mark.slow
def test_a_brain_of_another_size_is_refused(
    thick: PhantomSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registration, "LARGEST_SCALE", 1.05)
    affine = np.diag([1.15, 1.15, 1.15, 1]) @ thick.images["t1w"].affine
    with pytest.raises(MrcontrastError, match="one size"):
        register_affine(thick.images["flair"], Volume(thick.images["t1w"].data, affine))


def test_the_angle_of_a_scaled_rotation() -> None:
    matrix = rigid_matrix((30, 0, 0), (0, 0, 0), (1, 2, 3))
    np.testing.assert_allclose(matrix @ [1, 2, 3, 1], [1, 2, 3, 1])
    matrix[:3, :3] *= 1.1
    assert angle_deg(matrix) == pytest.approx(30)
