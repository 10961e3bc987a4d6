"""Deterministic linear registration across contrasts: mutual information, then blocks."""

import math
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from mrcontrast.errors import MrcontrastError
from mrcontrast.imaging.alignment import RESIDUAL_LIMIT_MM, check_alignment
from mrcontrast.imaging.geometry import angle_deg, apply_matrix, rotation_of
from mrcontrast.imaging.itk import LPS, Transform, load_itk, matrix_of, to_transform
from mrcontrast.imaging.pyramid import Pyramid
from mrcontrast.storage.volume import Volume

COARSE_MM, MIDDLE_MM, FINE_MM = 8.0, 4.0, 2.0
BLOCK_ROUNDS, SETTLED_MM = 3, 0.1
START_TILT_DEG = 20.0
KEPT_STARTS = 2
LARGEST_SCALE = 1.6  # between two heads
LEAST_OVERLAP = 0.4  # of the fixed mask or field of view, for a start to count


@dataclass(frozen=True)
class Registration:
    """Result of a registration.

    Attributes:
        matrix: (4, 4), float64, from points of the fixed volume to points of the moving one, both
            RAS in mm.
        image: The moving volume on the grid of the fixed one; 0 outside its field of view.
        metric: Final mutual information (nats), comparable within a pair.
        metric_before: Mutual information by the headers; 0 without overlap.
        rotation_deg: Angle of the rotation.
        translation_mm: Displacement of the centre of the fixed field of view.
    """

    matrix: np.ndarray
    image: Volume
    metric: float
    metric_before: float
    rotation_deg: float
    translation_mm: float

    def measures(self) -> dict[str, float]:
        """Return the values for tables."""
        names = ("metric", "metric_before", "rotation_deg", "translation_mm")
        return {name: float(getattr(self, name)) for name in names}


def register_rigid(
    fixed: Volume,
    moving: Volume,
    fixed_mask: np.ndarray | None = None,
    moving_mask: np.ndarray | None = None,
    order: int = 1,
    seed: int = 0,
) -> Registration:
    """Register two contrasts of a head by six parameters.

    Both are heads or both are brains, unless masks mark the brain.

    Args:
        fixed: Volume whose grid is kept, slices of any thickness.
        moving: Volume to move.
        fixed_mask: (X, Y, Z), bool, voxels of the fixed volume to use; None for all.
        moving_mask: (X, Y, Z), bool, voxels of the moving volume to use; None for all.
        order: Order of the spline for the image: 1 linear, 3 cubic.
        seed: Seed of the sampled voxels.

    Raises:
        MrcontrastError: No start leads to an overlap, an affine is sheared, or SimpleITK is not
            installed.
    """
    pyramid = Pyramid(fixed, moving, fixed_mask, moving_mask, seed)
    found = pyramid.refine(_search(pyramid), FINE_MM)[0]
    return _finish(pyramid, _settle(pyramid, matrix_of(found)), order)


def register_affine(
    fixed: Volume,
    moving: Volume,
    fixed_mask: np.ndarray | None = None,
    moving_mask: np.ndarray | None = None,
    order: int = 1,
    seed: int = 0,
) -> Registration:
    """Register as `register_rigid`, then by twelve parameters; sizes differ by at most 1.6."""
    pyramid = Pyramid(fixed, moving, fixed_mask, moving_mask, seed)
    found = _as_affine(_search(pyramid))
    for spacing in (MIDDLE_MM, FINE_MM):
        found = pyramid.refine(found, spacing)[0]
    scales = np.linalg.svd(matrix_of(found)[:3, :3], compute_uv=False)
    if scales.max() > LARGEST_SCALE or scales.min() < 1 / LARGEST_SCALE:
        raise MrcontrastError(
            f"Expected two brains of about one size, got scales of {scales.min():.2f} to "
            f"{scales.max():.2f} between them (affine registration). Check volume and mask."
        )
    return _finish(pyramid, matrix_of(found), order)


def register_to_mni(
    volume: Volume, mask: np.ndarray, resolution_mm: int = 1, order: int = 1, seed: int = 0
) -> Registration:
    """Register a brain to the MNI152 template (ICBM 2009a symmetric, skull-stripped, of nilearn).

    Args:
        volume: T1w or FLAIR, with or without skull.
        mask: (X, Y, Z), bool, its brain.
        resolution_mm: Spacing of the template, 1 or 2.
        order: Order of the spline for the image, which holds the brain alone.
        seed: Seed of the sampled voxels.
    """
    template, _ = load_mni152(resolution_mm)
    brain = replace(volume, data=np.where(mask, volume.data, 0).astype(np.float32))
    return register_affine(template, brain, order=order, seed=seed)


def load_mni152(resolution_mm: int = 1) -> tuple[Volume, np.ndarray]:
    """Return the T1w template of nilearn, and its brain, (X, Y, Z), bool."""
    from nilearn.datasets import load_mni152_brain_mask, load_mni152_template

    image = load_mni152_template(resolution=resolution_mm)
    brain = np.asarray(load_mni152_brain_mask(resolution=resolution_mm).dataobj) > 0
    return Volume(image.get_fdata(dtype=np.float32), np.asarray(image.affine, np.float64)), brain


def _search(pyramid: Pyramid) -> Transform:
    """Return the best of several starts: by headers and centres of mass, each tilted."""
    centres = {name: _centre_of_mass(pyramid, name) for name in pyramid.volumes}
    tilts = [np.zeros(3)]
    for axis, sign in product(range(3), (-1, 1)):
        tilts.append(sign * math.radians(START_TILT_DEG) * np.eye(3)[axis])
    ends = []
    for shift, tilt in product((np.zeros(3), centres["moving"] - centres["fixed"]), tilts):
        start = load_itk().Euler3DTransform(centres["fixed"].tolist(), *tilt, shift.tolist())
        try:
            found, metric = pyramid.refine(start, COARSE_MM)
        except RuntimeError:  # too few samples fall on the moving volume
            continue
        if pyramid.overlap(found, COARSE_MM) >= LEAST_OVERLAP:
            ends.append((metric, found))
    if not ends:
        raise MrcontrastError(
            "Expected two volumes of one head, got two that cannot be laid over each other. "
            "Check that they belong together."
        )
    best = sorted(ends, key=lambda end: -end[0])[:KEPT_STARTS]
    refined = [pyramid.refine(found, MIDDLE_MM) for _, found in best]
    return max(refined, key=lambda end: end[1])[0]


def _settle(pyramid: Pyramid, matrix: np.ndarray) -> np.ndarray:
    """Correct a motion by the rigid motion that most blocks agree on, if they agree.

    Tissue outside the brain biases the mutual information of heads by half a millimetre to one; see
    experiments/preparation.
    """
    fixed, moving = pyramid.volumes["fixed"], pyramid.volumes["moving"]
    for _ in range(BLOCK_ROUNDS):
        moved = Volume(moving.data, np.linalg.inv(matrix) @ moving.affine)
        try:
            left = check_alignment(fixed, moved, pyramid.masks["fixed"])
        except MrcontrastError:  # too little brain for blocks
            return matrix
        if left.residual_mm > RESIDUAL_LIMIT_MM:
            return matrix
        matrix = matrix @ left.motion
        if left.displacement_mm < SETTLED_MM:
            break
    return matrix


def _as_affine(transform: Transform) -> Transform:
    """Return a rigid transform with twelve parameters and the same centre."""
    affine = load_itk().AffineTransform(3)
    affine.SetCenter(transform.GetCenter())
    affine.SetMatrix(transform.GetMatrix())
    affine.SetTranslation(transform.GetTranslation())
    return affine


def _finish(pyramid: Pyramid, matrix: np.ndarray, order: int) -> Registration:
    """Measure the motion and move the image."""
    fixed = pyramid.volumes["fixed"]
    centre = fixed.affine @ [*(np.array(fixed.shape) - 1) / 2, 1.0]
    before, after = (pyramid.evaluate(to_transform(m), FINE_MM) for m in (np.eye(4), matrix))
    return Registration(
        matrix=matrix,
        image=apply_matrix(pyramid.volumes["moving"], matrix, fixed, order),
        metric=after,
        metric_before=before,
        rotation_deg=angle_deg(rotation_of(matrix)),
        translation_mm=float(np.linalg.norm((matrix @ centre - centre)[:3])),
    )


def _centre_of_mass(pyramid: Pyramid, name: str) -> np.ndarray:
    """Return the centre of voxels brighter than the mean, or of the mask, LPS in mm."""
    volume, mask = pyramid.volumes[name], pyramid.masks[name]
    data = np.asarray(volume.data, np.float64)
    weight = np.where(data > data.mean(), data, 0) if mask is None else np.asarray(mask, float)
    lines = [weight.sum(axis=tuple(k for k in range(3) if k != axis)) for axis in range(3)]
    index = [float(np.arange(len(line)) @ line / max(line.sum(), 1e-12)) for line in lines]
    return np.asarray((LPS @ volume.affine @ [*index, 1.0])[:3])
