"""The tissue of each voxel of a subject, lesions included."""

import math
from dataclasses import dataclass

import numpy as np
import scipy
import torch
import torch.nn.functional as F
from torch import Tensor

from mrcontrast.phantom import template as maps
from mrcontrast.phantom.config import AnatomyRanges, LesionRanges, between
from mrcontrast.phantom.fields import (
    draw_deformation,
    draw_smooth_field,
    frame_shape,
    template_positions,
    upsample,
)

LABELS = {"background": 0, "csf": 1, "gm": 2, "wm": 3, "lesion": 4}
EDGE_MM = 0.7  # over twice of it a lesion's share of a voxel falls from 0.73 to 0.27


@dataclass(frozen=True)
class Anatomy:
    """Tissue of one subject.

    Attributes:
        fractions: Share of each of `physics.TISSUES`, (5, X, Y, Z), float32; their sum is 1 inside
            the brain, 0 outside, between at the edge.
        tags: What was drawn: "atrophy" (0 to 1), "ventricle_growth_mm", "sulcal_csf",
            "lesion_count".
    """

    fractions: np.ndarray
    tags: dict[str, float]

    @property
    def labels(self) -> np.ndarray:
        """The largest tissue of voxels that are half brain, by `LABELS`, (X, Y, Z), uint8."""
        csf, cortex, deep, wm, lesion = self.fractions
        largest = np.argmax([csf, cortex + deep, wm, lesion], axis=0) + 1
        return np.where(self.fractions.sum(axis=0) > 0.5, largest, 0).astype(np.uint8)


def draw_anatomy(
    rng: np.random.Generator,
    ranges: AnatomyRanges,
    lesions: LesionRanges,
    spacing_mm: float,
    anatomy_spacing_mm: float,
) -> Anatomy:
    """Draw the tissue of one subject; each part has its own stream of random numbers.

    ``spacing_mm`` is the voxel size of the result; tissue is drawn on voxels of at most
    ``anatomy_spacing_mm``, and averaged.
    """
    shape_rng, boundary_rng, lesion_rng = rng.spawn(3)
    oversampling = int(np.ceil(spacing_mm / anatomy_spacing_mm - 1e-6))
    fine_mm = spacing_mm / oversampling
    template = maps.load_template()
    atrophy = rng.random()  # ventricles, sulci and lesions correlate with it
    ventricle, sulcus, count = (0.7 * atrophy + 0.3 * float(u) for u in rng.random(3))
    tags = {
        "atrophy": atrophy,
        "ventricle_growth_mm": between(ranges.ventricle_growth_mm, ventricle),
        "sulcal_csf": between(ranges.sulcal_csf, sulcus),
        "lesion_count": float(round(between(lesions.count, count**2))),
    }
    displacement = draw_deformation(shape_rng, ranges, template, tags["ventricle_growth_mm"])
    warped = template.sample(slice(None), template_positions(displacement, fine_mm))
    fractions = draw_tissue(boundary_rng, ranges, warped, tags["sulcal_csf"], fine_mm)
    lesion = draw_lesions(
        lesion_rng, lesions, int(tags["lesion_count"]), fractions[3],
        warped[maps.PERIVENTRICULAR], fine_mm,
    )  # fmt: skip
    fractions[3] -= lesion
    everything = torch.cat([fractions, lesion[None]])
    return Anatomy(F.avg_pool3d(everything, oversampling).numpy(), tags)


def draw_tissue(
    rng: np.random.Generator,
    ranges: AnatomyRanges,
    warped: Tensor,
    sulcal_csf: float,
    spacing_mm: float,
) -> Tensor:
    """Return shares of CSF, cortex, deep GM and WM, (4, X, Y, Z), float32, in [0, 1].

    ``warped`` has the template's channels at the subject's voxels, (6, X, Y, Z). Fine noise moves
    the boundaries of the cortex, ``sulcal_csf`` adds log odds of CSF outside deep grey matter, and
    a soft-max at low temperature sharpens; deep grey matter stays a mixture of GM and WM.
    """
    deep = warped[maps.DEEP]
    cortical = 1 - deep
    log_odds = warped[: maps.WM + 1].clone()
    for smoothing_mm in (3.0, 6.0):
        noise = draw_smooth_field(rng, smoothing_mm, channels=2)
        log_odds[::2] += ranges.boundary_noise * upsample(noise, frame_shape(spacing_mm)) * cortical
    log_odds[maps.CSF] += sulcal_csf * cortical
    log_odds /= ranges.cortex_softness * cortical + deep
    csf, gm, wm = F.softmax(log_odds, dim=0) * warped[maps.BRAIN]
    return torch.stack([csf, gm * cortical, gm * deep, wm])


def draw_lesions(
    rng: np.random.Generator,
    ranges: LesionRanges,
    count: int,
    wm: Tensor,
    near: Tensor,
    spacing_mm: float,
) -> Tensor:
    """Draw the share of lesion in each voxel, (X, Y, Z), float32, in [0, wm].

    ``wm`` is the share of white matter and ``near`` the nearness to the lateral ventricles, both
    (X, Y, Z) in [0, 1].
    """
    lesion = torch.zeros_like(wm)
    if count == 0:
        return lesion
    ripple = upsample(draw_smooth_field(rng, 4.0), (wm.shape[0], wm.shape[1], wm.shape[2]))[0]
    beside = rng.random(count) < ranges.periventricular_fraction
    for centre in draw_centres(rng, beside, wm, near):
        # A log-uniform diameter, and half axes of random length and direction.
        diameter_mm = np.exp(between([math.log(d) for d in ranges.diameter_mm], rng.random()))
        stretch = np.exp(rng.normal(0, 0.3, 3))
        stretch /= np.prod(stretch) ** (1 / 3)
        axes = scipy.spatial.transform.Rotation.random(rng=rng).as_matrix() @ np.diag(
            diameter_mm / 2 * stretch
        )
        stamp_lesion(lesion, ripple, centre, axes / spacing_mm, spacing_mm)
    return lesion.mul_(wm)


def draw_centres(
    rng: np.random.Generator, beside: np.ndarray, wm: Tensor, near: Tensor
) -> np.ndarray:
    """Draw a voxel index for each lesion, (n, 3), int; fewer rows where no voxel fits.

    ``beside``, (n,), is True for lesions at the ventricles, False for those in deep white matter.
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


def stamp_lesion(
    lesion: Tensor, ripple: Tensor, centre: np.ndarray, axes: np.ndarray, spacing_mm: float
) -> None:
    """Add one lesion, in place, to the map ``lesion`` (X, Y, Z), in [0, 1].

    ``ripple`` (X, Y, Z), of standard deviation 1, makes the outline irregular; ``axes`` (3, 3) has
    the half axes as columns, in voxels.
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
