"""Field of view of a phantom, smooth random fields in it, and the deformation of the template."""

import math
from collections.abc import Sequence

import numpy as np
import scipy
import torch
import torch.nn.functional as F
from torch import Tensor

from mrcontrast.errors import UsageError
from mrcontrast.phantom.config import AnatomyRanges, between
from mrcontrast.phantom.template import PERIVENTRICULAR, Template

FOV_MM = (180.0, 216.0, 192.0)  # in x, y, z; every subject of the ranges in `config` fits into it
CENTRE_MM = (0.0, -17.0, 5.0)  # of the field of view, in MNI152 coordinates
COARSE_MM = 4.0  # voxels of displacements


def frame_shape(spacing_mm: float) -> tuple[int, int, int]:
    """Return how many voxels of ``spacing_mm`` fill the field of view, or raise UsageError.

    >>> frame_shape(2.0)
    (90, 108, 96)
    """
    counts = [length / spacing_mm if spacing_mm > 0 else 0.0 for length in FOV_MM]
    x, y, z = (round(count) for count in counts)
    if min(x, y, z) < 1 or not all(math.isclose(n, round(n), rel_tol=1e-6) for n in counts):
        raise UsageError(
            f"Expected spacing_mm to be 12 mm over a whole number, got {spacing_mm:g} "
            "(PhantomConfig). Choose 1, 1.2, 1.5, 2, 3 or 4."
        )
    return x, y, z


def frame_affine(spacing_mm: float) -> np.ndarray:
    """Return the affine (4, 4), float64, from voxel indices to RAS world coordinates in mm."""
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    shape = np.array(frame_shape(spacing_mm))
    affine[:3, 3] = np.array(CENTRE_MM) - (shape - 1) / 2 * spacing_mm
    return affine


def voxel_centres(spacing_mm: float) -> np.ndarray:
    """Return the world coordinates of all voxel centres, (3, X, Y, Z), float32, in mm."""
    origin = frame_affine(spacing_mm)[:3, 3]
    axes = [
        (start + spacing_mm * np.arange(n)).astype(np.float32)
        for start, n in zip(origin, frame_shape(spacing_mm), strict=True)
    ]
    return np.stack(np.meshgrid(*axes, indexing="ij"))


def draw_smooth_field(rng: np.random.Generator, smoothing_mm: float, channels: int = 1) -> Tensor:
    """Draw Gaussian fields over the field of view, standard deviation 1, (channels, X, Y, Z).

    They are float32, smoothed by a Gaussian of ``smoothing_mm``, on voxels of two thirds of it.
    """
    shape = [max(4, round(1.5 * length / smoothing_mm)) for length in FOV_MM]
    noise = rng.standard_normal((channels, *shape), dtype=np.float32)
    sigma = [smoothing_mm * n / length for n, length in zip(shape, FOV_MM, strict=True)]
    smooth = scipy.ndimage.gaussian_filter(noise, (0, *sigma), mode="wrap")
    return torch.from_numpy(smooth / smooth.std(axis=(1, 2, 3), keepdims=True))


def upsample(field: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Interpolate a field (C, *S) that spans the field of view to ``shape``, trilinearly."""
    return F.interpolate(field[None], size=shape, mode="trilinear", align_corners=False)[0]


def draw_deformation(
    rng: np.random.Generator, ranges: AnatomyRanges, template: Template, growth_mm: float
) -> Tensor:
    """Draw a deformation, whose ventricles grow outward by ``growth_mm``, (3, X, Y, Z).

    It is the position in the template minus that in the subject (mm), on voxels of `COARSE_MM`.
    """
    centres = torch.from_numpy(voxel_centres(COARSE_MM))
    smooth = exponentiate(draw_velocity(rng, ranges.deformation_mm, ranges.deformation_scale_mm))
    turned = apply_affine(draw_affine(rng, ranges), centres + smooth)
    inward = exponentiate(growth_mm * ventricle_flow(template))
    return turned + _look_up(inward, turned) - centres


def template_positions(displacement: Tensor, spacing_mm: float) -> Tensor:
    """Return template coordinates (mm) of the voxel centres of a frame, (3, X, Y, Z)."""
    centres = torch.from_numpy(voxel_centres(spacing_mm))
    return upsample(displacement, frame_shape(spacing_mm)).add_(centres)


def draw_velocity(
    rng: np.random.Generator, amplitudes_mm: Sequence[float], smoothing_mm: Sequence[float]
) -> Tensor:
    """Draw a stationary velocity field (mm), (3, X, Y, Z), the sum of one field a scale."""
    shape = frame_shape(COARSE_MM)
    velocity = torch.zeros(3, *shape)
    for amplitude, smoothing in zip(amplitudes_mm, smoothing_mm, strict=True):
        velocity += amplitude * upsample(draw_smooth_field(rng, smoothing, channels=3), shape)
    return velocity


def exponentiate(velocity: Tensor, squarings: int = 6) -> Tensor:
    """Flow along a velocity field (3, X, Y, Z) (mm) for unit time; the displacement is invertible.

    Source: Arsigny et al. 2006, MICCAI, LNCS 4190:924 (scaling and squaring).
    """
    centres = torch.from_numpy(voxel_centres(COARSE_MM))
    displacement = velocity / 2**squarings
    for _ in range(squarings):
        displacement = displacement + _look_up(displacement, centres + displacement)
    return displacement


def draw_affine(rng: np.random.Generator, ranges: AnatomyRanges) -> np.ndarray:
    """Draw rotation and size as a matrix (3, 3) from subject to template, about `CENTRE_MM`."""
    angles = [between(ranges.rotation_deg, u) for u in rng.random(3)]
    size = [between(ranges.size_scale, u) for u in rng.random(3)]
    turn = scipy.spatial.transform.Rotation.from_euler("xyz", angles, degrees=True)
    rotation = turn.as_matrix()
    return np.diag(1 / np.array(size)) @ rotation


def apply_affine(matrix: np.ndarray, positions: Tensor) -> Tensor:
    """Apply a matrix (3, 3) to positions (3, *S) in mm about `CENTRE_MM`."""
    centre = torch.tensor(CENTRE_MM).view(3, 1, 1, 1)
    moved = torch.einsum("ij,jxyz->ixyz", torch.from_numpy(matrix).float(), positions - centre)
    return moved + centre


def ventricle_flow(template: Template) -> Tensor:
    """Return the direction towards the lateral ventricles, at most 1 long, (3, X, Y, Z)."""
    centres = torch.from_numpy(voxel_centres(COARSE_MM))
    channel = slice(PERIVENTRICULAR, PERIVENTRICULAR + 1)
    near = scipy.ndimage.gaussian_filter(template.sample(channel, centres)[0].numpy(), 1.0)
    flow = np.stack(np.gradient(near))
    return torch.from_numpy(flow / np.linalg.norm(flow, axis=0).max())


def _look_up(displacement: Tensor, positions: Tensor) -> Tensor:
    """Interpolate a coarse displacement (3, X, Y, Z) at world positions (3, *S) in mm."""
    centre = torch.tensor(CENTRE_MM).view(3, 1, 1, 1)
    half = torch.tensor(FOV_MM).view(3, 1, 1, 1) / 2
    grid = ((positions - centre) / half).flip(0).permute(1, 2, 3, 0)
    return F.grid_sample(
        displacement[None], grid[None], padding_mode="border", align_corners=False
    )[0]
