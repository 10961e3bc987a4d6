"""What each figure of a result is: its title, unit, direction and, in words, how it is computed."""

from dataclasses import dataclass

from mrcontrast.metrics.multiscale import SCALE_WEIGHTS, scale_weights
from mrcontrast.metrics.structural import K1, K2, SIGMA_VOXELS, WINDOW


@dataclass(frozen=True)
class Definition:
    """How a metric is shown.

    Attributes:
        title: Column heading.
        unit: Unit, empty for a pure number.
        higher_is_better: Direction of improvement.
        digits: Decimals in a table.
    """

    title: str
    unit: str
    higher_is_better: bool
    digits: int

    @property
    def heading(self) -> str:
        """Title, unit and an arrow that points to the better side."""
        unit = f" ({self.unit})" if self.unit else ""
        return f"{self.title}{unit} {'↑' if self.higher_is_better else '↓'}"


METRICS = {
    "psnr": Definition("PSNR", "dB", higher_is_better=True, digits=2),
    "ssim": Definition("SSIM", "", higher_is_better=True, digits=3),
    "ms_ssim": Definition("MS-SSIM", "", higher_is_better=True, digits=3),
    "mae": Definition("MAE", "", higher_is_better=False, digits=4),
    "rmse": Definition("RMSE", "", higher_is_better=False, digits=4),
}
OUTSIDE = "share_outside"
REGIONS = {
    "brain": "voxels of the brain mask",
    "image": "all voxels of the volume",
}


def describe_metrics(num_scales: int, data_range: float | str) -> dict[str, dict[str, object]]:
    """Return, metric by metric, what a reader needs to compute the same figure elsewhere.

    Args:
        num_scales: Scales of MS-SSIM, the same for all subjects of a result.
        data_range: Width of the intensity range, or where it comes from.
    """
    window = {
        "kernel": "gaussian",
        "sigma_voxels": SIGMA_VOXELS,
        "taps": WINDOW,
        "k1": K1,
        "k2": K2,
    }
    shared = {"dims": 3, "data_range": data_range}
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
