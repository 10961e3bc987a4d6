"""Deterministic linear registration across contrasts: mutual information, then blocks."""

import math
from dataclasses import dataclass
from itertools import product

import numpy as np

from mrcontrast.errors import MrcontrastError
from mrcontrast.imaging.alignment import RESIDUAL_LIMIT_MM, check_alignment
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
        metric: Final mutual information (nats), comparable within a pair.
        metric_before: Mutual information by the headers; 0 without overlap.
        rotation_deg: Angle of the rotation.
        translation_mm: Displacement of the centre of the fixed field of view.
    """

    matrix: np.ndarray
    metric: float
    metric_before: float
    rotation_deg: float
    translation_mm: float

    def measures(self) -> dict[str, float]:
        """Return the values for tables."""
        names = ("metric", "metric_before", "rotation_deg", "translation_mm")
        return {name: float(getattr(self, name)) for name in names}


def register_rigid(
    fixed: Volume, moving: Volume, fixed_mask: np.ndarray | None = None, seed: int = 0
) -> Registration:
    """Register two contrasts of a head by six parameters; both are heads or both are brains.

    Args:
        fixed: Volume that stays, slices of any thickness.
        moving: Volume to move.
        fixed_mask: (X, Y, Z), bool, voxels of the fixed volume to use; None for all.
        seed: Seed of the sampled voxels.

    Raises:
        MrcontrastError: No start leads to an overlap, an affine is sheared, or SimpleITK is not
            installed.
    """
    pyramid = Pyramid(fixed, moving, fixed_mask, seed)
    found = pyramid.refine(_search(pyramid), FINE_MM)[0]
    return _measured(pyramid, _settle(pyramid, matrix_of(found)))


def register_affine(fixed: Volume, moving: Volume, seed: int = 0) -> Registration:
    """Register as `register_rigid`, then by twelve parameters; sizes differ by at most 1.6."""
    pyramid = Pyramid(fixed, moving, None, seed)
    rigid = _search(pyramid)
    found = load_itk().AffineTransform(3)
    found.SetCenter(rigid.GetCenter())
    found.SetMatrix(rigid.GetMatrix())
    found.SetTranslation(rigid.GetTranslation())
    for spacing in (MIDDLE_MM, FINE_MM):
        found = pyramid.refine(found, spacing)[0]
    scales = np.linalg.svd(matrix_of(found)[:3, :3], compute_uv=False)
    if scales.max() > LARGEST_SCALE or scales.min() < 1 / LARGEST_SCALE:
        raise MrcontrastError(
            f"Expected two brains of about one size, got scales of {scales.min():.2f} to "
            f"{scales.max():.2f} between them (affine registration). Check volume and mask."
        )
    return _measured(pyramid, matrix_of(found))


def load_mni152(resolution_mm: int = 1) -> Volume:
    """Return the MNI152 T1w template of nilearn (ICBM 2009a symmetric, skull-stripped)."""
    from nilearn.datasets import load_mni152_template

    image = load_mni152_template(resolution=resolution_mm)
    return Volume(image.get_fdata(dtype=np.float32), np.asarray(image.affine, np.float64))


def _search(pyramid: Pyramid) -> Transform:
    """Return the best of several starts: by headers and centres of mass, each tilted."""
    centre = _centre_of_mass(pyramid.fixed, pyramid.mask)
    offset = _centre_of_mass(pyramid.moving, None) - centre
    tilts = [np.zeros(3)]
    for axis, sign in product(range(3), (-1, 1)):
        tilts.append(sign * math.radians(START_TILT_DEG) * np.eye(3)[axis])
    ends = []
    for shift, tilt in product((np.zeros(3), offset), tilts):
        start = load_itk().Euler3DTransform(centre.tolist(), *tilt, shift.tolist())
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
    moving = pyramid.moving
    for _ in range(BLOCK_ROUNDS):
        moved = Volume(moving.data, np.linalg.inv(matrix) @ moving.affine)
        try:
            left = check_alignment(pyramid.fixed, moved, pyramid.mask)
        except MrcontrastError:  # too little brain for blocks
            return matrix
        if left.residual_mm > RESIDUAL_LIMIT_MM:
            return matrix
        matrix = matrix @ left.motion
        if left.displacement_mm < SETTLED_MM:
            break
    return matrix


def _measured(pyramid: Pyramid, matrix: np.ndarray) -> Registration:
    """Return a motion with its measures."""
    fixed = pyramid.fixed
    centre = fixed.affine @ [*(np.array(fixed.shape) - 1) / 2, 1.0]
    before, after = (pyramid.evaluate(to_transform(m), FINE_MM) for m in (np.eye(4), matrix))
    translation_mm = float(np.linalg.norm((matrix @ centre - centre)[:3]))
    return Registration(matrix, after, before, angle_deg(matrix), translation_mm)


def angle_deg(matrix: np.ndarray) -> float:
    """Return the angle of the rotation nearest to a linear map (4, 4), in [0, 180]."""
    left, _, right = np.linalg.svd(matrix[:3, :3])
    rotation = left @ np.diag([1, 1, np.linalg.det(left @ right)]) @ right
    return math.degrees(math.acos(min(1.0, max(-1.0, (float(np.trace(rotation)) - 1) / 2))))


def _centre_of_mass(volume: Volume, mask: np.ndarray | None) -> np.ndarray:
    """Return the centre of voxels brighter than the mean, or of the mask, LPS in mm."""
    data = np.asarray(volume.data, np.float64)
    weight = np.where(data > data.mean(), data, 0) if mask is None else np.asarray(mask, float)
    lines = [weight.sum(axis=tuple(k for k in range(3) if k != axis)) for axis in range(3)]
    index = [float(np.arange(len(line)) @ line / max(line.sum(), 1e-12)) for line in lines]
    return np.asarray((LPS @ volume.affine @ [*index, 1.0])[:3])
