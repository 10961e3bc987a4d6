"""White-matter lesions: irregular blobs beside the ventricles and deep in white matter."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy.spatial.transform import Rotation
from torch import Tensor

from mrcontrast.phantom.config import LesionRanges, between
from mrcontrast.phantom.fields import draw_smooth_field, upsample

EDGE_MM = 0.7
"""A lesion's share of a voxel falls from 0.73 to 0.27 over twice this distance."""


def draw_lesions(
    rng: np.random.Generator,
    ranges: LesionRanges,
    count: int,
    wm: Tensor,
    near: Tensor,
    spacing_mm: float,
) -> Tensor:
    """Draw the share of each voxel that is lesion.

    Args:
        rng: Source of randomness.
        ranges: Diameters (mm), and where lesions lie.
        count: How many lesions.
        wm: Share of white matter, (X, Y, Z), in [0, 1]; lesions stay inside it.
        near: Nearness to the lateral ventricles, (X, Y, Z), in [0, 1].
        spacing_mm: Voxel size (mm).

    Returns:
        Float32, (X, Y, Z), in [0, wm].
    """
    lesion = torch.zeros_like(wm)
    if count == 0:
        return lesion
    ripple = upsample(draw_smooth_field(rng, 4.0), (wm.shape[0], wm.shape[1], wm.shape[2]))[0]
    beside = rng.random(count) < ranges.periventricular_fraction
    for centre in draw_centres(rng, beside, wm, near):
        stamp_lesion(lesion, ripple, centre, draw_axes(rng, ranges) / spacing_mm, spacing_mm)
    return lesion.mul_(wm)


def draw_centres(
    rng: np.random.Generator, beside: np.ndarray, wm: Tensor, near: Tensor
) -> np.ndarray:
    """Draw a voxel for each lesion.

    Args:
        rng: Source of randomness.
        beside: True for a lesion beside the ventricles, False for one in deep white matter, (n,).
        wm: Share of white matter, (X, Y, Z).
        near: Nearness to the lateral ventricles, (X, Y, Z).

    Returns:
        Voxel indices, (n, 3), int; fewer rows where no voxel fits.
    """
    every = (slice(None, None, 2),) * 3  # eight times fewer candidates are still plenty
    around = F.avg_pool3d(wm[None, None], 5, stride=1, padding=2)[0, 0][every]
    body = (wm[every] > 0.8) & (around > 0.6)  # spares thin bundles, such as the fornix
    periventricular = torch.nonzero(body & (near[every] > 0.3)).numpy()
    deep = torch.nonzero((around > 0.93) & (near[every] < 0.15)).numpy()
    centres = []
    for one, draw in zip(beside, rng.random(len(beside)), strict=True):
        places = periventricular if one else deep
        if len(places):
            centres.append(2 * places[int(draw * len(places))])
    return np.array(centres, dtype=int).reshape(-1, 3)


def draw_axes(rng: np.random.Generator, ranges: LesionRanges) -> np.ndarray:
    """Draw the half axes (mm) of a lesion as a matrix (3, 3): its columns, turned at random.

    The mean diameter is log-uniform, so that small lesions are the most frequent.
    """
    diameter_mm = np.exp(between([math.log(d) for d in ranges.diameter_mm], rng.random()))
    stretch = np.exp(rng.normal(0, 0.3, 3))
    stretch /= np.prod(stretch) ** (1 / 3)
    return Rotation.random(rng=rng).as_matrix() @ np.diag(diameter_mm / 2 * stretch)


def stamp_lesion(
    lesion: Tensor, ripple: Tensor, centre: np.ndarray, axes: np.ndarray, spacing_mm: float
) -> None:
    """Add one lesion, in place, to the map ``lesion`` (X, Y, Z); outlines follow ``ripple``.

    Args:
        lesion: Share of lesion, in [0, 1].
        ripple: Field of standard deviation 1 that makes the outline irregular, (X, Y, Z).
        centre: Voxel index, (3,).
        axes: Half axes as columns, (3, 3), in voxels.
        spacing_mm: Voxel size (mm).
    """
    reach = np.ceil(1.8 * np.linalg.norm(axes, axis=1) + 2 * EDGE_MM / spacing_mm).astype(int)
    low = np.maximum(centre - reach, 0)
    high = np.minimum(centre + reach + 1, lesion.shape)
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    offset = np.array(np.mgrid[box]) - centre.reshape(3, 1, 1, 1)
    radius = np.linalg.norm(np.einsum("ij,jxyz->ixyz", np.linalg.inv(axes), offset), axis=0)
    mean_radius_mm = spacing_mm * float(np.abs(np.linalg.det(axes))) ** (1 / 3)
    depth_mm = (1 + 0.3 * ripple[box] - torch.from_numpy(radius)) * mean_radius_mm
    lesion[box] = torch.maximum(lesion[box], torch.sigmoid(depth_mm / EDGE_MM).float())
