"""The intensity range of PSNR, SSIM and MS-SSIM: fixed, or taken from each reference."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from mrcontrast.errors import MrcontrastError
from mrcontrast.metrics.voxelwise import check_data_range

UNIT_TOLERANCE = 1e-3  # float32 and interpolation leave values slightly outside 0 and 1

Ends = tuple[float, float]


@dataclass(frozen=True)
class FixedRange:
    """One range (low < high, in the units of the images) for all subjects; voxels as stored."""

    low: float
    high: float

    def __post_init__(self) -> None:
        check_data_range(self.high - self.low)

    def ends(self, target: np.ndarray, mask: np.ndarray) -> Ends:
        """Return the range itself, for any reference (*S) and brain mask (*S)."""
        return self.low, self.high

    def rescale(self, image: np.ndarray, ends: Ends) -> np.ndarray:
        """Return the image (*S) unchanged."""
        return image

    def measured(self, ends: Ends) -> Ends:
        """Return the range of rescaled images: the range itself."""
        return ends

    def describe(self) -> dict[str, Any]:
        """Return the rule for summary.json."""
        return {
            "rule": "fixed",
            "low": self.low,
            "high": self.high,
            "data_range": self.high - self.low,
            "normalisation": "none: voxels as stored",
            "clipping": "none",
        }


@dataclass(frozen=True)
class ReferenceRange:
    """Percentiles of each reference; both images are rescaled so that they become 0 and 1.

    The lower one is usually background: a few lower voxels, left by interpolation, do not count.
    """

    lower: float = 0.5  # over the whole reference
    upper: float = 99.5  # over its brain

    def ends(self, target: np.ndarray, mask: np.ndarray) -> Ends:
        """Return the percentiles of a reference (*S) with its brain mask (*S).

        Raises:
            MrcontrastError: The reference is constant in the mask.
        """
        low, high = np.percentile(target, self.lower), np.percentile(target[mask], self.upper)
        if not high > low:
            raise MrcontrastError(f"Expected a reference with contrast, got {low:g} all over it.")
        return float(low), float(high)

    def rescale(self, image: np.ndarray, ends: Ends) -> np.ndarray:
        """Return (image - low) / (high - low), float64, not clipped."""
        low, high = ends
        return np.subtract(image, low, dtype=np.float64) / (high - low)

    def measured(self, ends: Ends) -> Ends:
        """Return the range of rescaled images: [0, 1]."""
        return 0.0, 1.0

    def describe(self) -> dict[str, Any]:
        """Return the rule for summary.json."""
        return {
            "rule": "reference",
            "low": f"percentile {self.lower:g} of the whole reference",
            "high": f"percentile {self.upper:g} of the reference in the mask",
            "data_range": 1.0,
            "normalisation": "reference and prediction alike rescaled, so that the reference's "
            f"percentile {self.lower:g} becomes 0 and its percentile {self.upper:g} in the mask 1",
            "clipping": "none",
        }


IntensityRange = FixedRange | ReferenceRange


def is_unit(low: float, high: float) -> bool:
    """Return whether intensities from ``low`` to ``high`` are in [0, 1], within 0.001."""
    return low >= -UNIT_TOLERANCE and high <= 1 + UNIT_TOLERANCE
