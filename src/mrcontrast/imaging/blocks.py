"""Match small blocks of two contrasts: their shifts agree under a rigid offset (`find_shifts`)."""

from dataclasses import dataclass
from itertools import product

import numpy as np
import scipy
from numpy.lib.stride_tricks import sliding_window_view

RADIUS, REACH, STEP = 4, 3, 5  # half width, largest shift, and distance of blocks, in voxels
WIDTH = 2 * RADIUS + 1
SHIFTS = np.array(list(product(range(-REACH, REACH + 1), repeat=3)))  # (S, 3), in symmetric order
RIDGE, FLAT = 1e-4, 1e-6
NOISE_SHARE = 0.02  # added to each variance, so that flat blocks fit nothing
LEAST_FILLED = 0.5  # least share of a block on a mask
AS_GOOD = 0.9  # of the best similarity, which many shifts of a flat block reach


@dataclass(frozen=True)
class BlockShifts:
    """Result of block matching; all shifts are `SHIFTS`, lengths in voxels.

    Attributes:
        centres: (N, 3), centre of each block on the fixed image.
        shifts: (N, 3), offset of the moving image there.
        similarity: (N,), R squared at the best shift, in [0, 1].
        scores: (N, S), R squared at every shift, in [0, 1].
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
        """Return the distance of each block from a shift (N, 3), (N,).

        Measured from the nearest shift almost as good as the best one, so that a flat block, which
        fits equally well everywhere, has distance 0.
        """
        apart = np.linalg.norm(SHIFTS - wanted[:, None], axis=2)
        as_good = self.scores >= AS_GOOD * self.similarity[:, None]
        nearest = np.where(as_good, apart, np.inf).min(axis=1)
        return np.minimum(nearest, np.linalg.norm(self.shifts - wanted, axis=1))

    def joined(self, other: "BlockShifts") -> "BlockShifts":
        """Return the blocks of both."""
        pairs = ((getattr(self, name), getattr(other, name)) for name in self.__annotations__)
        return BlockShifts(*(np.concatenate(pair) for pair in pairs))


def find_shifts(
    fixed: np.ndarray, moving: np.ndarray, fixed_mask: np.ndarray, moving_mask: np.ndarray
) -> BlockShifts:
    """Find the best shift of each block to a fraction of a voxel, by a parabola along each axis.

    Args:
        fixed: (X, Y, Z), float.
        moving: (X, Y, Z), another contrast on the same grid.
        fixed_mask: (X, Y, Z), bool, voxels to use, 7 from every face.
        moving_mask: (X, Y, Z), bool, voxels to use.

    Source: Ourselin et al. 2001, Image and Vision Computing 19:25 (block matching); Roche et al.
    1998, MICCAI (correlation ratio): ours is the R squared of a local quadratic fit in the voxels
    of both masks, which follows contrasts of either sign.
    """
    centres = block_centres(fixed_mask)
    scores = _match(fixed, moving, fixed_mask, moving_mask, centres)
    best = scores.argmax(axis=1)
    width, rows = 2 * REACH + 1, np.arange(len(centres))
    cube = scores.reshape(-1, width, width, width)
    found = SHIFTS[best].astype(np.float64)
    for axis in range(3):
        index = SHIFTS[best] + REACH
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


def block_centres(mask: np.ndarray) -> np.ndarray:
    """Return every fifth voxel of a mask with most of its block inside: (N, 3)."""
    inside = scipy.ndimage.uniform_filter(mask.astype(np.float32), WIDTH) > LEAST_FILLED
    voxels = np.argwhere(mask & inside)
    if not len(voxels):
        return voxels
    return voxels[((voxels - voxels.min(axis=0)) % STEP == 0).all(axis=1)]


def _match(
    fixed: np.ndarray,
    moving: np.ndarray,
    fixed_mask: np.ndarray,
    moving_mask: np.ndarray,
    centres: np.ndarray,
) -> np.ndarray:
    """Return the R squared in [0, 1] of blocks around centres (N, 3) at all shifts, (N, S)."""
    # A Gaussian of 0.6 times the half width of a block.
    line = np.exp(-0.5 * (np.arange(-RADIUS, RADIUS + 1) / (0.6 * RADIUS)) ** 2)
    window = np.einsum("i,j,k->ijk", line, line, line).astype(np.float32).ravel()
    wide = RADIUS + REACH
    result = np.zeros((len(centres), len(SHIFTS)), np.float32)
    for row, centre in enumerate(centres):
        near = tuple(slice(c - RADIUS, c + RADIUS + 1) for c in centre)
        far = tuple(slice(c - wide, c + wide + 1) for c in centre)
        weight = window * fixed_mask[near].ravel()
        known = moving_mask[far].astype(np.float32)
        values = _standardised(moving[far], known)
        patches = [
            sliding_window_view(image, (WIDTH,) * 3).reshape(len(SHIFTS), -1)
            for image in (known, values, values**2)
        ]
        block = _standardised(fixed[near].ravel(), weight)
        result[row] = _r_squared(block, weight, *patches)
    return result


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
