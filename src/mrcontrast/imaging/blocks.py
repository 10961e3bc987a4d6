"""Match small blocks of one contrast to another one.

A rigid offset shows as shifts that agree, two different brains as shifts that do not.

Source: Ourselin et al. 2001, Image and Vision Computing 19:25 (block matching); similarity after
Roche et al. 1998, MICCAI (correlation ratio), here the R squared of a local quadratic fit in the
voxels of both masks, which follows contrasts of either sign.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
import scipy
from numpy.lib.stride_tricks import sliding_window_view

RIDGE, FLAT = 1e-4, 1e-6
NOISE_SHARE = 0.02  # added to each variance, so that flat blocks fit nothing
LEAST_FILLED = 0.5  # least share of a block on a mask
AS_GOOD = 0.9  # of the best similarity, which many shifts of a flat block reach


@dataclass(frozen=True)
class BlockShifts:
    """Result of block matching.

    Attributes:
        centres: (N, 3), centre of each block on the fixed image, in voxels.
        shifts: (N, 3), offset of the moving image there, in voxels.
        similarity: (N,), R squared at the best shift, in [0, 1].
        scores: (N, S), R squared at every shift of ``all_shifts``, in [0, 1].
    """

    centres: np.ndarray
    shifts: np.ndarray
    similarity: np.ndarray
    scores: np.ndarray

    def reversed(self) -> "BlockShifts":
        """Return the blocks from the other image, with moved centres and opposite shifts."""
        scores = self.scores[:, ::-1]  # the order of all shifts is symmetric
        return BlockShifts(self.centres + self.shifts, -self.shifts, self.similarity, scores)

    def distance_to(self, wanted: np.ndarray) -> np.ndarray:
        """Return the distance of each block from a shift (N, 3), in voxels, (N,).

        Measured from the nearest shift almost as good as the best one, so that a flat block, which
        fits equally well everywhere, has distance 0.
        """
        reach = (round(self.scores.shape[1] ** (1 / 3)) - 1) // 2
        apart = np.linalg.norm(all_shifts(reach) - wanted[:, None], axis=2)
        as_good = self.scores >= AS_GOOD * self.similarity[:, None]
        nearest = np.where(as_good, apart, np.inf).min(axis=1)
        return np.minimum(nearest, np.linalg.norm(self.shifts - wanted, axis=1))

    def joined(self, other: "BlockShifts") -> "BlockShifts":
        """Return the blocks of both."""
        pairs = ((getattr(self, name), getattr(other, name)) for name in self.__annotations__)
        return BlockShifts(*(np.concatenate(pair) for pair in pairs))


def find_shifts(
    fixed: np.ndarray,
    moving: np.ndarray,
    fixed_mask: np.ndarray,
    moving_mask: np.ndarray,
    radius: int = 4,
    reach: int = 3,
    step: int = 5,
) -> BlockShifts:
    """Find the best shift of each block to a fraction of a voxel, by a parabola along each axis.

    Args:
        fixed: (X, Y, Z), float.
        moving: (X, Y, Z), another contrast on the same grid.
        fixed_mask: (X, Y, Z), bool, voxels to use, ``radius + reach`` from every face.
        moving_mask: (X, Y, Z), bool, voxels to use.
        radius: Half width of a block, in voxels.
        reach: Largest shift along each axis, in voxels.
        step: Distance of the blocks' centres, in voxels.
    """
    centres = block_centres(fixed_mask, radius, step)
    scores, shifts = match_blocks(fixed, moving, fixed_mask, moving_mask, centres, radius, reach)
    best = scores.argmax(axis=1)
    width, rows = 2 * reach + 1, np.arange(len(centres))
    cube = scores.reshape(-1, width, width, width)
    found = shifts[best].astype(np.float64)
    for axis in range(3):
        index = shifts[best] + reach
        inner = (index[:, axis] > 0) & (index[:, axis] < width - 1)
        sides = []
        for side in (-1, 1):
            neighbour = index.copy()
            neighbour[:, axis] = np.clip(neighbour[:, axis] + side, 0, width - 1)
            sides.append(cube[rows, *neighbour.T])
        bend = sides[0] - 2 * scores[rows, best] + sides[1]
        known = inner & (bend < -FLAT)
        found[known, axis] += 0.5 * (sides[0] - sides[1])[known] / bend[known]
    return BlockShifts(centres.astype(np.float64), found, scores[rows, best], scores)


def all_shifts(reach: int) -> np.ndarray:
    """Return all shifts up to a reach, in voxels: (S, 3), int, in symmetric order."""
    return np.array(list(product(range(-reach, reach + 1), repeat=3)))


def block_centres(mask: np.ndarray, radius: int, step: int) -> np.ndarray:
    """Return every ``step``-th voxel of a mask with most of its block inside: (N, 3)."""
    inside = scipy.ndimage.uniform_filter(mask.astype(np.float32), 2 * radius + 1) > LEAST_FILLED
    voxels = np.argwhere(mask & inside)
    if not len(voxels):
        return voxels
    return voxels[((voxels - voxels.min(axis=0)) % step == 0).all(axis=1)]


def match_blocks(
    fixed: np.ndarray,
    moving: np.ndarray,
    fixed_mask: np.ndarray,
    moving_mask: np.ndarray,
    centres: np.ndarray,
    radius: int,
    reach: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the R squared in [0, 1] of blocks at all shifts, (N, S), and the shifts (S, 3).

    See ``find_shifts``; the centres are (N, 3), int, at least ``radius + reach`` from every face.
    """
    shifts = all_shifts(reach)
    window = block_window(radius).ravel()
    wide, width = radius + reach, 2 * radius + 1
    result = np.zeros((len(centres), len(shifts)), np.float32)
    for row, centre in enumerate(centres):
        near = tuple(slice(c - radius, c + radius + 1) for c in centre)
        far = tuple(slice(c - wide, c + wide + 1) for c in centre)
        weight = window * fixed_mask[near].ravel()
        known = moving_mask[far].astype(np.float32)
        values = _standardised(moving[far], known)
        patches = [
            sliding_window_view(image, (width,) * 3).reshape(len(shifts), -1)
            for image in (known, values, values**2)
        ]
        block = _standardised(fixed[near].ravel(), weight)
        result[row] = _r_squared(block, weight, *patches)
    return result, shifts


def block_window(radius: int) -> np.ndarray:
    """Return the weights of a block, (W, W, W), float32: a Gaussian of 0.6 times its half width."""
    line = np.exp(-0.5 * (np.arange(-radius, radius + 1) / (0.6 * radius)) ** 2)
    return np.einsum("i,j,k->ijk", line, line, line).astype(np.float32)


def _standardised(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Shift and scale to weighted mean 0 and standard deviation 1; 0 at weight 0."""
    total = max(float(weight.sum()), 1e-6)
    centred = values - float((values * weight).sum()) / total
    spread = float(np.sqrt((centred**2 * weight).sum() / total))
    return np.asarray(np.where(weight > 0, centred / max(spread, 1e-6), 0), np.float32)


def _r_squared(
    block: np.ndarray,
    weight: np.ndarray,
    known: np.ndarray,
    values: np.ndarray,
    squares: np.ndarray,
) -> np.ndarray:
    """Return the R squared of a quadratic fit of moving values to the block's, for each shift."""
    powers = np.stack([weight * block**k for k in range(5)], axis=1)
    moments = (known @ powers).astype(np.float64)  # (S, 5)
    cross = (values @ powers[:, :3]).astype(np.float64)  # (S, 3)
    total = (squares @ weight).astype(np.float64)
    filled = moments[:, 0] / max(float(weight.sum()), 1e-6)
    count = np.maximum(moments[:, 0], 1e-6)
    normal = moments[:, np.add.outer(np.arange(3), np.arange(3))] / count[:, None, None]
    normal += RIDGE * np.eye(3)
    cross, total = cross / count[:, None], total / count
    explained = np.einsum("si,si->s", cross, np.linalg.solve(normal, cross[..., None])[..., 0])
    variance = np.maximum(total - cross[:, 0] ** 2, 0) + NOISE_SHARE
    share = np.clip((explained - cross[:, 0] ** 2) / variance, 0, 1)
    return np.where(filled >= LEAST_FILLED, share, 0)
