"""Measure in millimetres whether two contrasts of one brain overlay, whatever their headers."""

from dataclasses import dataclass

import numpy as np
import scipy
import skimage

from mrcontrast.errors import MrcontrastError
from mrcontrast.imaging.blocks import BlockShifts, find_shifts
from mrcontrast.storage.volume import Volume
from mrcontrast.transforms.brain import LARGEST_BRAIN_ML, mask_from_nonzero
from mrcontrast.transforms.grid import resample_to

GRID_MM = 3.0  # about a slice of a clinical FLAIR
BORDER_MM = 24.0  # reach of blocks and shifts outside the brain
TOLERANCE_MM = 2.0  # disagreement from which a block loses weight in the rigid motion
ROUNDS = 30
FEWEST_BLOCKS = 20
SCALP_MM = 15.0  # scalp and skull together
LEAST_OVERLAP = 0.5
DISPLACEMENT_LIMIT_MM = 2.5
RESIDUAL_LIMIT_MM = 2.0


@dataclass(frozen=True)
class Alignment:
    """Measured overlay of two images.

    Attributes:
        displacement_mm: Root mean square displacement of the brain's voxels by the rigid motion
            that most blocks agree on.
        residual_mm: Median distance of the blocks from that motion, weighted by similarity: small
            for one brain, about 7 mm for two brains or a deformed one.
        similarity: Median R squared of the blocks at their best shifts, in [0, 1].
        overlap: Share of the brain that the moving image's voxels cover, in [0, 1].
        suspicion: The larger of the first two over its limit; above 1 the pair does not overlay.
        motion: (4, 4), float64, that motion, from points of the fixed image to points of the
            moving one, RAS in mm.
    """

    displacement_mm: float
    residual_mm: float
    similarity: float
    overlap: float
    suspicion: float
    motion: np.ndarray

    @property
    def aligned(self) -> bool:
        """Whether the pair overlays."""
        return self.suspicion <= 1

    def measures(self) -> dict[str, float]:
        """Return the values for tables."""
        names = ("displacement_mm", "residual_mm", "similarity", "overlap", "suspicion")
        return {name: float(getattr(self, name)) for name in names}


def check_alignment(
    fixed: Volume,
    moving: Volume,
    brain_mask: np.ndarray | None = None,
    displacement_limit_mm: float = DISPLACEMENT_LIMIT_MM,
    residual_limit_mm: float = RESIDUAL_LIMIT_MM,
) -> Alignment:
    """Measure how far one image is from another in world space; nothing is moved.

    Blocks of each contrast are matched to the other within 9 mm. Shifts agree under a rigid offset,
    and disagree between two brains. The limit of 2.5 mm is the mean thickness of the cortex (Fischl
    and Dale 2000, PNAS 97:11050); 2 mm is half of the least residual measured for two brains.

    Args:
        fixed: Any contrast and grid, with skull or without.
        moving: Another contrast, on any grid in the same world.
        brain_mask: (X, Y, Z), bool, brain on the fixed grid; None takes the non-zero voxels
            of the fixed image, or the inner part of its head, 15 mm deep.
        displacement_limit_mm: Limit of ``displacement_mm``.
        residual_limit_mm: Limit of ``residual_mm``.

    Raises:
        MrcontrastError: There is no brain to compare, or the moving image shows less than half.
    """
    mask = foreground(fixed) if brain_mask is None else np.asarray(brain_mask, bool)
    one, other, inside, affine = _common_grid(fixed, moving, mask)
    if brain_mask is None:
        inside = without_scalp(inside)
    overlap = float((other[inside] != 0).mean()) if inside.any() else 0.0
    if overlap < LEAST_OVERLAP:
        raise MrcontrastError(
            f"Expected two images of one brain, got one that covers {overlap:.0%} of the other's. "
            "Register the pair or check that it belongs together."
        )
    core = scipy.ndimage.binary_erosion(inside)
    there = find_shifts(one, other, core, other != 0)
    back = find_shifts(other, one, core & (other != 0), one != 0)
    blocks = there.joined(back.reversed())
    if (blocks.similarity > 0).sum() < FEWEST_BLOCKS:
        raise MrcontrastError(
            f"Expected a brain to compare, got {len(blocks.similarity)} blocks of "
            f"{inside.sum()} voxels of {GRID_MM:g} mm. Check the mask."
        )
    motion, residual = _agreed_motion(blocks, affine)
    points = np.argwhere(inside) @ affine[:3, :3].T + affine[:3, 3]
    moved = float(np.sqrt((displacement_mm(motion, np.eye(4), points) ** 2).mean()))
    return Alignment(
        displacement_mm=moved,
        residual_mm=residual,
        similarity=float(np.median(blocks.similarity)),
        overlap=overlap,
        suspicion=max(moved / displacement_limit_mm, residual / residual_limit_mm),
        motion=motion,
    )


def foreground(volume: Volume) -> np.ndarray:
    """Return the non-zero voxels of a stripped brain, else the head by Otsu: (X, Y, Z), bool."""
    try:
        return mask_from_nonzero(volume)
    except MrcontrastError:
        if not volume.data.any():
            raise
    head = volume.data > 0.5 * skimage.filters.threshold_otsu(volume.data)
    return mask_from_nonzero(Volume(scipy.ndimage.binary_opening(head), volume.affine))


def without_scalp(inside: np.ndarray) -> np.ndarray:
    """Remove scalp and skull from a mask of a head on the grid of the check, (X, Y, Z), bool."""
    if inside.sum() * GRID_MM**3 / 1000 <= LARGEST_BRAIN_ML:
        return inside
    return np.asarray(scipy.ndimage.distance_transform_edt(inside, sampling=GRID_MM) > SCALP_MM)


def _common_grid(
    fixed: Volume, moving: Volume, mask: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Resample both images and the mask to cubic voxels around the brain; return the affine too."""
    if not mask.any():
        raise MrcontrastError("Expected a brain mask with voxels, got an empty one.")
    world = np.argwhere(mask) @ fixed.affine[:3, :3].T + fixed.affine[:3, 3]
    low, high = world.min(axis=0) - BORDER_MM, world.max(axis=0) + BORDER_MM
    x, y, z = (int(n) for n in np.ceil((high - low) / GRID_MM) + 1)
    affine = np.diag([GRID_MM] * 3 + [1.0])
    affine[:3, 3] = low
    one, other = (resample_to(volume, affine, (x, y, z)) for volume in (fixed, moving))
    share = resample_to(Volume(mask.astype(np.float32), fixed.affine), affine, (x, y, z))
    return one, other, share > 0.5, affine


def displacement_mm(a: np.ndarray, b: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the distance of points (N, 3) under two matrices (4, 4): (N,), in mm."""
    return np.linalg.norm(points @ (a - b)[:3, :3].T + (a - b)[:3, 3], axis=1)


def fit_rigid(points: np.ndarray, targets: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the rigid motion (4, 4) of points (N, 3) nearest to targets (N, 3), weights (N,).

    Source: Kabsch 1976, Acta Crystallographica A32:922.
    """
    share = weight / weight.sum()
    middle, goal = share @ points, share @ targets
    left, _, right = np.linalg.svd((points - middle).T @ ((targets - goal) * share[:, None]))
    matrix = np.eye(4)
    matrix[:3, :3] = (left @ np.diag([1, 1, np.linalg.det(left @ right)]) @ right).T
    matrix[:3, 3] = goal - matrix[:3, :3] @ middle
    return matrix


def _agreed_motion(blocks: BlockShifts, affine: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the rigid motion (4, 4) that most blocks agree on, and their distance from it (mm).

    Source: iterated weights of Geman and McClure 1987, Bulletin of the ISI 52:5.
    """
    start = blocks.centres @ affine[:3, :3].T + affine[:3, 3]
    end = start + blocks.shifts @ affine[:3, :3].T
    say = blocks.similarity**2
    apart = end - start - np.median(end - start, axis=0)
    motion = np.eye(4)
    for _ in range(ROUNDS):
        weight = say / (1 + (apart**2).sum(axis=1) / TOLERANCE_MM**2) ** 2
        motion = fit_rigid(start, end, weight)
        apart = end - start @ motion[:3, :3].T - motion[:3, 3]
    wanted = (start @ motion[:3, :3].T + motion[:3, 3] - start) @ np.linalg.inv(affine[:3, :3]).T
    distance_mm = GRID_MM * blocks.distance_to(wanted)
    return motion, float(np.quantile(distance_mm, 0.5, weights=say, method="inverted_cdf"))
