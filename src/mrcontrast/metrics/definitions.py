"""What each figure of a result is: its title, its unit and which way is better."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Definition:
    """How a metric is shown.

    Attributes:
        title: Column heading.
        unit: Unit, empty for a pure number.
        higher_is_better: Direction of improvement; None where a value is best at ``ideal``, or
            where it describes and does not judge.
        digits: Decimals in a table.
        ideal: The best value of what is neither better higher nor lower.
    """

    title: str
    unit: str
    higher_is_better: bool | None
    digits: int
    ideal: float | None = None

    @property
    def heading(self) -> str:
        """Title, unit, and an arrow that points to the better side or to the best value."""
        unit = f" ({self.unit})" if self.unit else ""
        if self.higher_is_better is None:
            return f"{self.title}{unit}" + ("" if self.ideal is None else f" → {self.ideal:g}")
        return f"{self.title}{unit} {'↑' if self.higher_is_better else '↓'}"

    @property
    def judges(self) -> bool:
        """Whether one value can be better than another."""
        return self.higher_is_better is not None or self.ideal is not None

    def badness(self, values: np.ndarray) -> np.ndarray:
        """Return figures that are lower where values (N,) of this metric are better.

        >>> Definition("Ratio", "", None, 2, ideal=1.0).badness(np.array([0.5, 1.25]))
        array([0.5 , 0.25])
        """
        if self.ideal is not None:
            return np.abs(values - self.ideal)
        return -values if self.higher_is_better else values


METRICS = {
    "psnr": Definition("PSNR", "dB", higher_is_better=True, digits=2),
    "ssim": Definition("SSIM", "", higher_is_better=True, digits=3),
    "ms_ssim": Definition("MS-SSIM", "", higher_is_better=True, digits=3),
    "mae": Definition("MAE", "", higher_is_better=False, digits=4),
    "rmse": Definition("RMSE", "", higher_is_better=False, digits=4),
}
OUTSIDE = "share_outside"
STRUCTURE = {
    "histogram_w1": Definition("Histogram W1", "", higher_is_better=False, digits=4),
    "gradient_w1": Definition("Gradient W1", "1/mm", higher_is_better=False, digits=4),
    "sharpness": Definition("Sharpness", "", None, digits=2, ideal=1.0),
    "through_plane": Definition("Through-plane", "", None, digits=3, ideal=1.0),
    "dice_csf": Definition("Dice CSF", "", higher_is_better=True, digits=3),
    "dice_gm": Definition("Dice GM", "", higher_is_better=True, digits=3),
    "dice_wm": Definition("Dice WM", "", higher_is_better=True, digits=3),
    "volume_csf": Definition("CSF volume", "%", None, digits=1, ideal=0.0),
    "volume_gm": Definition("GM volume", "%", None, digits=1, ideal=0.0),
    "volume_wm": Definition("WM volume", "%", None, digits=1, ideal=0.0),
}
VOLUMES = {
    f"{tissue}_ml_{which}": Definition(f"{tissue.upper()} {which}", "ml", None, digits=1)
    for tissue in ("csf", "gm", "wm")
    for which in ("real", "synthetic")
}
LESIONS = {
    "contrast_real": Definition("Contrast real", "", None, digits=3),
    "contrast_synthetic": Definition("Contrast synthetic", "", None, digits=3),
    "contrast_error": Definition("Contrast error", "", higher_is_better=False, digits=3),
    "contrast_kept": Definition("Contrast kept", "", None, digits=2, ideal=1.0),
}
REGIONS = {
    "brain": "voxels of the brain mask",
    "image": "all voxels of the volume",
    "lesion": "voxels of the lesion mask in the brain; of subjects that have some",
    "healthy": "voxels of the brain mask outside the lesion mask; of subjects with a lesion mask",
    "csf": "cerebrospinal fluid, of the data set's own labels",
    "gm": "grey matter, of the data set's own labels",
    "wm": "white matter, of the data set's own labels",
}
