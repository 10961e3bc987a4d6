"""The metrics of an evaluation in one list: CSV, tables, statistics and report follow from it."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from mrcontrast.evaluation import metric_functions as functions
from mrcontrast.imaging.tissue_classes import METHOD as SEGMENTATION
from mrcontrast.imaging.tissue_classes import TISSUES
from mrcontrast.metrics.lesions import MIN_RING_VOXELS, RING_MM
from mrcontrast.metrics.metric import Metric
from mrcontrast.metrics.multiscale import SCALE_WEIGHTS, scale_weights
from mrcontrast.metrics.score_regions import SLICES
from mrcontrast.metrics.structural import K1, K2, SIGMA_VOXELS, WINDOW

REGIONS = {
    "brain": "voxels of the brain mask",
    "image": "all voxels of the volume",
    "lesion": "voxels of the lesion mask in the brain; of subjects that have some",
    "healthy": "voxels of the brain mask outside the lesion mask; of subjects with a lesion mask",
    "csf": "cerebrospinal fluid, by the labels of the data set",
    "gm": "grey matter, by the labels of the data set",
    "wm": "white matter, by the labels of the data set",
}
IMAGES, TEXTURE, TISSUE = "voxels and structure", "texture", "tissue"
VOLUMES, LESIONS = "tissue volumes", "lesion contrast"
T1W = ("t1w",)  # the segmenter orders classes by their T1w intensity
KERNEL = {
    "window": {
        "kernel": "gaussian",
        "sigma_voxels": SIGMA_VOXELS,
        "taps": WINDOW,
        "k1": K1,
        "k2": K2,
    }
}
CONTRAST = (
    "mean of the real image in the lesions minus that in white matter more than "
    f"{RING_MM[0]:g} and at most {RING_MM[1]:g} mm away; of subjects with {MIN_RING_VOXELS} "
    "voxels of it. White matter: labels of the data set, else the segmentation of the real image"
)
_of_brain = partial(Metric, per="brain")
_of_tissue = partial(Metric, per="brain", targets=T1W)
_of_lesions = partial(Metric, per="lesion", targets=T1W, group=LESIONS)

METRICS: tuple[Metric, ...] = (
    Metric(
        "psnr",
        "PSNR",
        "20 log10(data_range / rmse); equal images give an infinite value",
        functions.psnr,
        unit="dB",
        better="higher",
        digits=2,
        group=IMAGES,
    ),
    Metric(
        "ssim",
        "SSIM",
        "mean of the SSIM map (Wang 2004) over the mask; windows at its edge extend outside it. "
        "Whole image: without a margin of 5 voxels, as in scikit-image",
        functions.ssim,
        better="higher",
        group=IMAGES,
        details=KERNEL | {"covariance": "population"},
    ),
    Metric(
        "ms_ssim",
        "MS-SSIM",
        "product of the means of contrast-structure maps and of the coarsest SSIM map, each to its "
        "weight (Wang 2003); negative means count as 0. Images are halved by averaging; so is the "
        "mask, which weighs the maps. Whole image as in torchmetrics",
        functions.ms_ssim,
        better="higher",
        group=IMAGES,
        details=KERNEL | {"weights_published": list(SCALE_WEIGHTS)},
    ),
    Metric(
        "mae",
        "MAE",
        "mean |prediction - reference|",
        functions.mae,
        better="lower",
        digits=4,
        group=IMAGES,
    ),
    Metric(
        "rmse",
        "RMSE",
        "sqrt(mean (prediction - reference)^2)",
        functions.rmse,
        better="lower",
        digits=4,
        group=IMAGES,
    ),
    Metric(
        "share_outside",
        "Voxels out of range",
        "share of predicted voxels outside the intensity range; none is clipped",
        functions.outside,
        digits=4,
        group=IMAGES,
        in_tables=False,
    ),
    _of_brain(
        "histogram_w1",
        "Histogram W1",
        "Wasserstein-1 distance of the intensities in the brain, in the units of the images",
        functions.histogram,
        better="lower",
        digits=4,
        group=TEXTURE,
    ),
    _of_brain(
        "gradient_w1",
        "Gradient W1",
        "Wasserstein-1 distance of |gradient| (central differences, per mm) over voxels with their "
        "six neighbours in the brain",
        functions.gradient,
        unit="1/mm",
        better="lower",
        digits=4,
        group=TEXTURE,
    ),
    _of_brain(
        "sharpness",
        "Sharpness",
        "mean |gradient| of the synthetic image over that of the real one; below 1 softer",
        functions.sharpness,
        better=1.0,
        digits=2,
        group=TEXTURE,
    ),
    _of_brain(
        "through_plane",
        "Through-plane",
        "mean |difference| of neighbours across axial slices over that within them, of the "
        "synthetic image over that of the real one; above 1 the slices flicker",
        functions.through_plane,
        better=1.0,
        group=TEXTURE,
    ),
    *(
        _of_tissue(
            f"dice_{tissue}",
            f"Dice {tissue.upper()}",
            f"Dice of one tissue in the real and the synthetic image. Both segmented by "
            f"{SEGMENTATION}",
            partial(functions.tissue_dice, tissue=tissue),
            better="higher",
            group=TISSUE,
        )
        for tissue in TISSUES
    ),
    *(
        _of_tissue(
            f"volume_{tissue}",
            f"{tissue.upper()} volume",
            "volume of one tissue in the synthetic image minus that in the real one, in percent of "
            f"the latter. Both segmented by {SEGMENTATION}",
            partial(functions.tissue_volume_change, tissue=tissue),
            unit="%",
            better=0.0,
            digits=1,
            group=TISSUE,
        )
        for tissue in TISSUES
    ),
    *(
        _of_tissue(
            f"{tissue}_ml_{which}",
            f"{tissue.upper()} {which}",
            f"volume of one tissue. Segmented by {SEGMENTATION}",
            partial(functions.tissue_volume, tissue=tissue, which=which),
            unit="ml",
            digits=1,
            group=VOLUMES,
            in_tables=False,
        )
        for tissue in TISSUES
        for which in ("real", "synthetic")
    ),
    _of_lesions("contrast_real", "Contrast real", CONTRAST, partial(functions.contrast, which=0)),
    _of_lesions(
        "contrast_synthetic",
        "Contrast synthetic",
        "contrast_real of the synthetic image, in the same voxels",
        partial(functions.contrast, which=1),
    ),
    _of_lesions(
        "contrast_error",
        "Contrast error",
        "|contrast_synthetic - contrast_real|",
        functions.contrast_error,
        better="lower",
    ),
    _of_lesions(
        "contrast_kept",
        "Contrast kept",
        "contrast_synthetic / contrast_real; 0 where the lesion is lost",
        functions.contrast_kept,
        better=1.0,
        digits=2,
    ),
)
BY_NAME = {metric.name: metric for metric in METRICS}


def describe(
    metrics: Sequence[Metric], num_scales: int, data_range: float | str, dims: int = 3
) -> dict[str, dict[str, Any]]:
    """Return all that a reader needs to compute and to show the same metrics, by name.

    Args:
        metrics: Metrics of the result.
        num_scales: Scales of MS-SSIM, the same for all subjects.
        data_range: Width of the intensity range, or its source.
        dims: 3, or 2 where metrics of regions are means over axial slices.
    """
    shared: dict[str, Any] = {"dims": dims, "data_range": data_range}
    if dims == 2:
        shared["slices"] = SLICES
    found = {m.name: m.facts | (shared if m.per == "region" else {}) for m in metrics}
    if "ms_ssim" in found:
        weights = list(scale_weights(num_scales))
        found["ms_ssim"] |= {"num_scales": num_scales, "weights": weights}
    return found


def metrics_of(summary: Mapping[str, Any]) -> dict[str, Metric]:
    """Return the metrics that a summary can hold: those of this list, then its own, by name."""
    described = summary.get("metrics") or {}
    added = {name: facts for name, facts in described.items() if name not in BY_NAME}
    return BY_NAME | {name: Metric.from_facts(name, facts) for name, facts in added.items()}
