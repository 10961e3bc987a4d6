"""The way from a subject back to the template: affine, diffeomorphism, ventricles."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
import torch
import torch.nn.functional as F
from torch import Tensor

from mrcontrast.phantom.config import AnatomyRanges, between
from mrcontrast.phantom.fields import (
    CENTRE_MM,
    COARSE_MM,
    FOV_MM,
    draw_smooth_field,
    frame_shape,
    upsample,
    voxel_centres,
)
from mrcontrast.phantom.template import PERIVENTRICULAR, Template


@dataclass(frozen=True)
class Deformation:
    """Map from points of the subject to points of the template.

    Attributes:
        displacement: Template position minus subject position (mm), (3, X, Y, Z) on voxels of
            `COARSE_MM` that fill the field of view.
    """

    displacement: Tensor

    def positions(self, spacing_mm: float) -> Tensor:
        """Return template coordinates (mm) of the voxel centres of a frame, (3, X, Y, Z)."""
        centres = torch.from_numpy(voxel_centres(spacing_mm))
        return upsample(self.displacement, frame_shape(spacing_mm)).add_(centres)

    def jacobian_determinant(self) -> np.ndarray:
        """Return the local change of volume, template over subject, at each coarse voxel."""
        position = self.positions(COARSE_MM).numpy()
        gradient = [np.gradient(component, COARSE_MM) for component in position]
        return np.linalg.det(np.moveaxis(np.array(gradient), (0, 1), (-2, -1)))


def draw_deformation(
    rng: np.random.Generator, ranges: AnatomyRanges, template: Template, growth_mm: float
) -> Deformation:
    """Draw the deformation of one subject, whose ventricles grow outward by ``growth_mm``."""
    centres = torch.from_numpy(voxel_centres(COARSE_MM))
    smooth = exponentiate(draw_velocity(rng, ranges.deformation_mm, ranges.deformation_scale_mm))
    turned = apply_affine(draw_affine(rng, ranges), centres + smooth)
    inward = exponentiate(growth_mm * ventricle_flow(template))
    return Deformation(turned + _look_up(inward, turned) - centres)


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
    rotation = scipy.spatial.transform.Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
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
