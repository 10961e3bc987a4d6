"""Normalisers by mean and spread: z-score in the mask, and of white matter alone."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import scipy

from mrcontrast.errors import UsageError
from mrcontrast.transforms.normalise import (
    FittedNormaliser,
    Normaliser,
    PercentileNormaliser,
    UnitNormaliser,
    VolumeMinMaxNormaliser,
    check_varies,
    values_in,
)

BINS = 500
SMOOTHING_BINS = 8.0
LEAST_PEAK = 0.2  # relative height of the peak of a tissue


@dataclass(frozen=True)
class ZScoreNormaliser(Normaliser):
    """Scale by the mean and the standard deviation of the intensities in the brain.

    By default the brain gets mean 0 and standard deviation 1; networks here expect about [0, 1],
    as given by ``below_sd=3, above_sd=3``.

    Attributes:
        below_sd: Standard deviations below the mean that become 0, >= 0.
        above_sd: Standard deviations above the mean that become 1, >= 0.
        clip: Whether values outside are cut to [0, 1].
    """

    example: ClassVar[str] = "zscore-3-3"
    below_sd: float = 0.0
    above_sd: float = 1.0
    clip: bool = False

    def __post_init__(self) -> None:
        _check_range(self.below_sd, self.above_sd)

    def fit(self, data: np.ndarray, mask: np.ndarray) -> FittedNormaliser:
        """Take mean and standard deviation; see `Normaliser`."""
        values = values_in(data, mask)
        mean, sd = float(values.mean()), float(values.std())
        low, high = mean - self.below_sd * sd, mean + self.above_sd * sd
        return FittedNormaliser(self.name, low, high, self.clip)


@dataclass(frozen=True)
class WhiteStripeNormaliser(Normaliser):
    """Scale by the intensities around the mode of normal-appearing white matter.

    The mode is the last peak of the histogram in the mask for T1w, where white matter is
    brightest, and the largest for FLAIR. The stripe is the voxels whose rank is within ``width``
    of the mode's; by default it gets mean 0 and standard deviation 1.

    Attributes:
        peak: "last" (T1w) or "largest" (FLAIR, T2w).
        width: Half width of the stripe, in quantiles, in (0, 0.5).
        below_sd: Standard deviations of the stripe below its mean that become 0, >= 0.
        above_sd: Standard deviations of the stripe above its mean that become 1, >= 0.
        clip: Whether values outside are cut to [0, 1].

    Source: Shinohara et al. 2014, NeuroImage: Clinical 6:9; ours smooths the histogram by a
    Gaussian where theirs fits a penalised spline.
    """

    example: ClassVar[str] = "whitestripe-last-0.05-0-1"
    peak: str = "last"
    width: float = 0.05
    below_sd: float = 0.0
    above_sd: float = 1.0
    clip: bool = False

    def __post_init__(self) -> None:
        _check_range(self.below_sd, self.above_sd)
        if self.peak not in ("last", "largest") or not 0 < self.width < 0.5:
            raise UsageError(
                'Expected peak "last" or "largest" and 0 < width < 0.5, got '
                f'"{self.peak}" and {self.width} (normaliser). Change them.'
            )

    def fit(self, data: np.ndarray, mask: np.ndarray) -> FittedNormaliser:
        """Take mean and standard deviation of the stripe; see `Normaliser`."""
        values = values_in(data, mask)
        rank = float((values < find_mode(values, self.peak)).mean())
        ends = np.clip([rank - self.width, rank + self.width], 0, 1)
        lower, upper = np.quantile(values, ends)
        stripe = values[(values >= lower) & (values <= upper)]
        mean, sd = float(stripe.mean()), float(stripe.std())
        check_varies(mean, sd)
        low, high = mean - self.below_sd * sd, mean + self.above_sd * sd
        return FittedNormaliser(self.name, low, high, self.clip)


KINDS: dict[str, type[Normaliser]] = {
    "zscore": ZScoreNormaliser,
    "whitestripe": WhiteStripeNormaliser,
    "volume": VolumeMinMaxNormaliser,
    "unit": UnitNormaliser,
}


def normaliser_from_name(name: str, clip: bool) -> Normaliser:
    """Rebuild any normaliser from its stored name; MrcontrastError if there is none.

    >>> normaliser_from_name("zscore-3-3", clip=True)
    ZScoreNormaliser(below_sd=3.0, above_sd=3.0, clip=True)
    """
    return KINDS.get(name.split("-")[0], PercentileNormaliser).from_name(name, clip)


def find_mode(values: np.ndarray, peak: str) -> float:
    """Return the intensity of the last or largest peak of a smoothed histogram of (N,) values.

    Peaks lower than a fifth of the largest one are ignored.
    """
    low, high = np.percentile(values, [0.1, 99.9])
    counts, edges = np.histogram(values, BINS, (low, high))
    smooth = scipy.ndimage.gaussian_filter1d(
        counts.astype(np.float64), SMOOTHING_BINS, mode="constant"
    )
    inner = smooth[1:-1]
    rises = (inner > smooth[:-2]) & (inner >= smooth[2:]) & (inner > LEAST_PEAK * smooth.max())
    peaks = np.flatnonzero(rises) + 1
    largest = int(np.argmax(smooth))
    chosen = int(peaks[-1]) if peak == "last" and peaks.size else largest
    return float(edges[chosen] + edges[chosen + 1]) / 2


def _check_range(below_sd: float, above_sd: float) -> None:
    if min(below_sd, above_sd) < 0 or below_sd + above_sd == 0:
        raise UsageError(
            f"Expected below_sd and above_sd >= 0 and one of them above 0, got {below_sd} and "
            f"{above_sd} (normaliser). Change them."
        )
