"""What each voxel of a subject is made of."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mrcontrast.phantom import template as maps
from mrcontrast.phantom.config import AnatomyRanges, LesionRanges, between
from mrcontrast.phantom.deformation import draw_deformation
from mrcontrast.phantom.fields import draw_smooth_field, frame_shape, upsample
from mrcontrast.phantom.lesions import draw_lesions

LABELS = {"background": 0, "csf": 1, "gm": 2, "wm": 3, "lesion": 4}


@dataclass(frozen=True)
class Anatomy:
    """Tissue of one subject.

    Attributes:
        fractions: Share of each of `tissue.TISSUES` in each voxel, (5, X, Y, Z), float32; they
            sum to the share of brain: 1 inside, 0 outside, between at the edge.
        tags: What was drawn: "atrophy" (0 to 1), "ventricle_growth_mm", "sulcal_csf",
            "lesion_count".
    """

    fractions: np.ndarray
    tags: dict[str, float]

    @property
    def brain_mask(self) -> np.ndarray:
        """Voxels that are at least half brain, (X, Y, Z), bool."""
        return self.fractions.sum(axis=0) > 0.5

    @property
    def lesion_mask(self) -> np.ndarray:
        """Voxels of the brain that are mostly lesion, (X, Y, Z), bool."""
        return self.labels == LABELS["lesion"]

    @property
    def labels(self) -> np.ndarray:
        """The largest tissue of each voxel by `LABELS`, (X, Y, Z), uint8; 0 outside."""
        csf, cortex, deep, wm, lesion = self.fractions
        largest = np.argmax([csf, cortex + deep, wm, lesion], axis=0) + 1
        return np.where(self.brain_mask, largest, 0).astype(np.uint8)


def draw_anatomy(
    rng: np.random.Generator,
    ranges: AnatomyRanges,
    lesions: LesionRanges,
    spacing_mm: float,
    anatomy_spacing_mm: float,
) -> Anatomy:
    """Draw the tissue of one subject.

    Args:
        rng: Source of randomness; each part takes its own stream, so that a change of one range
            leaves the other parts as they were.
        ranges: Shape of the brain.
        lesions: White-matter lesions.
        spacing_mm: Voxel size of the result (mm).
        anatomy_spacing_mm: Largest voxel (mm) on which tissue is drawn before it is averaged.
    """
    shape_rng, boundary_rng, lesion_rng = rng.spawn(3)
    oversampling = int(np.ceil(spacing_mm / anatomy_spacing_mm - 1e-6))
    fine_mm = spacing_mm / oversampling
    template = maps.load_template()
    tags = draw_atrophy(rng, ranges, lesions)

    deformation = draw_deformation(shape_rng, ranges, template, tags["ventricle_growth_mm"])
    warped = template.sample(slice(None), deformation.positions(fine_mm))
    fractions = draw_tissue(boundary_rng, ranges, warped, tags["sulcal_csf"], fine_mm)
    lesion = draw_lesions(
        lesion_rng, lesions, int(tags["lesion_count"]), fractions[3],
        warped[maps.PERIVENTRICULAR], fine_mm,
    )  # fmt: skip
    fractions[3] -= lesion
    everything = torch.cat([fractions, lesion[None]])
    return Anatomy(F.avg_pool3d(everything, oversampling).numpy(), tags)


def draw_atrophy(
    rng: np.random.Generator, ranges: AnatomyRanges, lesions: LesionRanges
) -> dict[str, float]:
    """Draw how much tissue is lost; ventricles, sulci and lesions follow it, each loosely."""
    atrophy = rng.random()
    ventricle, sulcus, lesion = (0.7 * atrophy + 0.3 * float(u) for u in rng.random(3))
    return {
        "atrophy": atrophy,
        "ventricle_growth_mm": between(ranges.ventricle_growth_mm, ventricle),
        "sulcal_csf": between(ranges.sulcal_csf, sulcus),
        "lesion_count": float(round(between(lesions.count, lesion**2))),
    }


def draw_tissue(
    rng: np.random.Generator,
    ranges: AnatomyRanges,
    warped: Tensor,
    sulcal_csf: float,
    spacing_mm: float,
) -> Tensor:
    """Turn warped log probabilities into crisp shares of tissue.

    The cortex is sharpened by a soft-max at low temperature, after fine noise has moved its
    boundaries; thalamus, pallidum and brain stem are true mixtures of GM and WM and stay so.

    Args:
        rng: Source of randomness.
        ranges: Strength of the noise, temperature.
        warped: Channels of the template at the subject's voxels, (6, X, Y, Z).
        sulcal_csf: Log odds added to CSF outside the deep grey matter.
        spacing_mm: Voxel size (mm).

    Returns:
        Shares of CSF, cortex, deep GM and WM, (4, X, Y, Z), float32, in [0, 1].
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
