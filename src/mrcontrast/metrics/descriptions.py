"""How each figure is computed, in words that go into the summary beside the figures."""

from mrcontrast.metrics.definitions import OUTSIDE
from mrcontrast.metrics.lesions import MIN_RING_VOXELS, RING_MM
from mrcontrast.metrics.multiscale import SCALE_WEIGHTS, scale_weights
from mrcontrast.metrics.slices import MIN_SHARE
from mrcontrast.metrics.structural import K1, K2, SIGMA_VOXELS, WINDOW

STRUCTURE_WORDS = {
    "histogram_w1": "Wasserstein-1 distance of the intensities in the brain, in the images' units",
    "gradient_w1": "Wasserstein-1 distance of |gradient| (central differences, per mm) over voxels "
    "whose six neighbours lie in the brain",
    "sharpness": "mean |gradient| of the synthetic image over that of the real one; below 1 softer",
    "through_plane": "mean |difference| of neighbours across axial slices over that within them, "
    "of the synthetic image over that of the real one; above 1 the slices flicker",
    "dice": "Dice of one tissue in the real and the synthetic image, both segmented by",
    "volume": "volume of one tissue in the synthetic image less that in the real one, in percent "
    "of the latter, both segmented by",
    "ml": "volume of one tissue, segmented by",
}
LESION_WORDS = {
    "contrast_real": "mean of the real image in the lesions less that in healthy white matter more "
    f"than {RING_MM[0]:g} and at most {RING_MM[1]:g} mm away; of subjects with {MIN_RING_VOXELS} "
    "voxels of it. White matter: labels of the data set, else the segmentation of the real image",
    "contrast_synthetic": "the same of the synthetic image, in the same voxels",
    "contrast_error": "|contrast_synthetic - contrast_real|",
    "contrast_kept": "contrast_synthetic / contrast_real; 0 where the lesion is lost",
}


def describe_metrics(
    num_scales: int, data_range: float | str, dims: int = 3
) -> dict[str, dict[str, object]]:
    """Return, metric by metric, what a reader needs to compute the same figure elsewhere.

    Args:
        num_scales: Scales of MS-SSIM, the same for all subjects of a result.
        data_range: Width of the intensity range, or where it comes from.
        dims: 3, or 2 where figures are means over axial slices.
    """
    window = {
        "kernel": "gaussian",
        "sigma_voxels": SIGMA_VOXELS,
        "taps": WINDOW,
        "k1": K1,
        "k2": K2,
    }
    shared: dict[str, object] = {"dims": dims, "data_range": data_range}
    if dims == 2:
        shared["slices"] = (
            f"mean over axial slices that hold {MIN_SHARE:.0%} of the largest slice's brain, and "
            "a voxel of the region"
        )
    return {
        "mae": {"definition": "mean |prediction - reference|", **shared},
        "rmse": {"definition": "sqrt(mean (prediction - reference)^2)", **shared},
        "psnr": {
            "definition": "20 log10(data_range / rmse); equal images give an infinite value",
            "unit": "dB",
            **shared,
        },
        "ssim": {
            "definition": "mean of the SSIM map (Wang 2004) over the mask; windows at its rim "
            "reach beyond it. Whole image: less a strip of 5 voxels at the edges, as in "
            "scikit-image",
            "window": window,
            "covariance": "population",
            **shared,
        },
        "ms_ssim": {
            "definition": "product of the means of contrast-structure maps and of the coarsest "
            "SSIM map, each to its weight (Wang 2003); negative means count as 0. Images are "
            "halved by averaging; so is the mask, which weighs the maps. Whole image as in "
            "torchmetrics",
            "window": window,
            "num_scales": num_scales,
            "weights": list(scale_weights(num_scales)),
            "weights_published": list(SCALE_WEIGHTS),
            **shared,
        },
        OUTSIDE: {
            "definition": "share of predicted voxels outside the intensity range; none is clipped"
        },
    }


def describe_structure(segmentation: str) -> dict[str, dict[str, object]]:
    """Return the words for the measures of texture, tissue and lesions.

    Args:
        segmentation: How tissues are found, in words.
    """
    tissue = ("dice", "volume", "ml")
    words = {
        name: f"{text} {segmentation}" if name in tissue else text
        for name, text in (STRUCTURE_WORDS | LESION_WORDS).items()
    }
    return {name: {"definition": text} for name, text in words.items()}
