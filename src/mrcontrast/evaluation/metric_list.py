"""The metrics of an evaluation in one list: CSV, tables, statistics and report follow from it."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from mrcontrast.evaluation import metric_functions as of
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
T1W = ("t1w",)  # the segmenter orders classes by their T1w intensity
DEFINED = {
    "psnr": "20 log10(data_range / rmse); equal images give an infinite value",
    "ssim": "mean of the SSIM map (Wang 2004) over the mask; windows at its edge extend outside "
    "it. Whole image: without a margin of 5 voxels, as in scikit-image",
    "ms_ssim": "product of the means of contrast-structure maps and of the coarsest SSIM map, each "
    "to its weight (Wang 2003); negative means count as 0. Images are halved by averaging; so is "
    "the mask, which weighs the maps. Whole image as in torchmetrics",
    "mae": "mean |prediction - reference|",
    "rmse": "sqrt(mean (prediction - reference)^2)",
    "share_outside": "share of predicted voxels outside the intensity range; none is clipped",
    "histogram": "Wasserstein-1 distance of the intensities in the brain, in units of the images",
    "gradient": "Wasserstein-1 distance of |gradient| (central differences, per mm) over voxels "
    "with their six neighbours in the brain",
    "sharpness": "mean |gradient| of the synthetic image over that of the real one; below 1 softer",
    "through_plane": "mean |difference| of neighbours across axial slices over that within them, "
    "of the synthetic image over that of the real one; above 1 the slices flicker",
    "dice": "Dice of one tissue in the real and the synthetic image. Both segmented by "
    f"{SEGMENTATION}",
    "change": "volume of one tissue in the synthetic image minus that in the real one, in percent "
    f"of the latter. Both segmented by {SEGMENTATION}",
    "ml": f"volume of one tissue. Segmented by {SEGMENTATION}",
    "real": "mean of the real image in the lesions minus that in white matter more than "
    f"{RING_MM[0]:g} and at most {RING_MM[1]:g} mm away; of subjects with {MIN_RING_VOXELS} voxels "
    "of it. White matter: labels of the data set, else the segmentation of the real image",
    "synthetic": "contrast_real of the synthetic image, in the same voxels",
    "error": "|contrast_synthetic - contrast_real|",
    "kept": "contrast_synthetic / contrast_real; 0 where the lesion is lost",
}
KERNEL = {"kernel": "gaussian", "sigma_voxels": SIGMA_VOXELS, "taps": WINDOW, "k1": K1, "k2": K2}
SSIM_FACTS = {"window": KERNEL, "covariance": "population"}
SCALES_FACTS = {"window": KERNEL, "weights_published": list(SCALE_WEIGHTS)}

_image = partial(Metric, group="voxels and structure")
_scales = partial(_image, details=SCALES_FACTS)
_outside = partial(_image, digits=4, in_tables=False)
_texture = partial(Metric, per="brain", group="texture")
_tissue = partial(Metric, per="brain", group="tissue", targets=T1W)
_volume = partial(Metric, per="brain", group="tissue volumes", targets=T1W, in_tables=False)
_lesion = partial(Metric, per="lesion", group="lesion contrast", targets=T1W)
_dice = {name: partial(of.tissue_dice, tissue=name) for name in TISSUES}
_change = {name: partial(of.tissue_volume_change, tissue=name) for name in TISSUES}
_ml = {
    (name, which): partial(of.tissue_volume, tissue=name, which=which)
    for name in TISSUES
    for which in ("real", "synthetic")
}
_real, _synthetic = (partial(of.contrast, which=which) for which in (0, 1))

# name, title, description, function, unit, better, digits
METRICS: tuple[Metric, ...] = (
    _image("psnr", "PSNR", DEFINED["psnr"], of.psnr, "dB", "higher", 2),
    _image("ssim", "SSIM", DEFINED["ssim"], of.ssim, "", "higher", details=SSIM_FACTS),
    _scales("ms_ssim", "MS-SSIM", DEFINED["ms_ssim"], of.ms_ssim, "", "higher"),
    _image("mae", "MAE", DEFINED["mae"], of.mae, "", "lower", 4),
    _image("rmse", "RMSE", DEFINED["rmse"], of.rmse, "", "lower", 4),
    _outside("share_outside", "Voxels out of range", DEFINED["share_outside"], of.share_outside),
    _texture("histogram_w1", "Histogram W1", DEFINED["histogram"], of.histogram, "", "lower", 4),
    _texture("gradient_w1", "Gradient W1", DEFINED["gradient"], of.gradient, "1/mm", "lower", 4),
    _texture("sharpness", "Sharpness", DEFINED["sharpness"], of.sharpness, "", 1.0, 2),
    _texture("through_plane", "Through-plane", DEFINED["through_plane"], of.through_plane, "", 1.0),
    *(
        _tissue(f"dice_{name}", f"Dice {name.upper()}", DEFINED["dice"], of_pair, "", "higher")
        for name, of_pair in _dice.items()
    ),
    *(
        _tissue(f"volume_{name}", f"{name.upper()} volume", DEFINED["change"], of_pair, "%", 0.0, 1)
        for name, of_pair in _change.items()
    ),
    *(
        _volume(f"{n}_ml_{which}", f"{n.upper()} {which}", DEFINED["ml"], of_pair, "ml", None, 1)
        for (n, which), of_pair in _ml.items()
    ),
    _lesion("contrast_real", "Contrast real", DEFINED["real"], _real),
    _lesion("contrast_synthetic", "Contrast synthetic", DEFINED["synthetic"], _synthetic),
    _lesion("contrast_error", "Contrast error", DEFINED["error"], of.contrast_error, "", "lower"),
    _lesion("contrast_kept", "Contrast kept", DEFINED["kept"], of.contrast_kept, "", 1.0, 2),
)
BY_NAME = {metric.name: metric for metric in METRICS}


def describe(
    metrics: Sequence[Metric], num_scales: int, data_range: float | str, dims: int = 3
) -> dict[str, dict[str, Any]]:
    """Return all that a reader needs to compute and to show the same metrics, by name.

    The number of scales of MS-SSIM and the width of the intensity range are those of all subjects.
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
    added = {
        name: Metric.from_facts(name, facts)
        for name, facts in described.items()
        if name not in BY_NAME and isinstance(facts, dict)
    }
    return BY_NAME | added
