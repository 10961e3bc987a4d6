"""Normalisers by mean and spread: z-score in the mask, and of white matter alone."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.ndimage import gaussian_filter1d

from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.transforms.normalise import (
    FittedNormaliser,
    Normaliser,
    PercentileNormaliser,
    no_such_normaliser,
)
from mrcontrast.transforms.whole_volume import VolumeMinMaxNormaliser

BINS = 500
SMOOTHING_BINS = 8.0
LEAST_PEAK = 0.2  # of the highest one, for a peak to be a tissue


@dataclass(frozen=True)
class ZScoreNormaliser:
    """Scale by the mean and the standard deviation of the intensities in the brain.

    With the defaults the brain gets mean 0 and standard deviation 1; the networks here want about
    [0, 1], which ``below_sd=3, above_sd=3`` gives.

    Attributes:
        below_sd: Standard deviations under the mean that become 0, >= 0.
        above_sd: Standard deviations over the mean that become 1, >= 0.
        clip: Whether values outside are cut to [0, 1].
    """

    below_sd: float = 0.0
    above_sd: float = 1.0
    clip: bool = False

    def __post_init__(self) -> None:
        _check_range(self.below_sd, self.above_sd)

    @property
    def name(self) -> str:
        """Name that is stored with the data, such as "zscore-3-3"."""
        return f"zscore-{self.below_sd:g}-{self.above_sd:g}"

    @classmethod
    def from_name(cls, name: str, clip: bool = False) -> Self:
        """Rebuild from a stored name.

        >>> ZScoreNormaliser.from_name("zscore-3-3")
        ZScoreNormaliser(below_sd=3.0, above_sd=3.0, clip=False)
        """
        try:
            kind, below, above = name.split("-")
            if kind != "zscore":
                raise ValueError(kind)
            return cls(float(below), float(above), clip)
        except ValueError as error:
            raise no_such_normaliser("zscore-3-3", name) from error

    def fit(self, data: np.ndarray, mask: np.ndarray) -> FittedNormaliser:
        """Measure ``data`` (X, Y, Z) over the voxels in ``mask`` (X, Y, Z).

        Raises:
            MrcontrastError: The mask is empty, or the intensities do not vary in it.
        """
        values = _values(data, mask)
        mean, sd = float(values.mean()), float(values.std())
        low, high = mean - self.below_sd * sd, mean + self.above_sd * sd
        return FittedNormaliser(self.name, low, high, self.clip)


@dataclass(frozen=True)
class WhiteStripeNormaliser:
    """Scale by the intensities round the mode of normal-appearing white matter.

    The mode is the last peak of the histogram in the mask for T1w, where white matter is
    brightest, and the largest for FLAIR. The stripe is the voxels whose rank is within ``width``
    of the mode's; with the defaults it gets mean 0 and standard deviation 1.

    Attributes:
        peak: "last" (T1w) or "largest" (FLAIR, T2w).
        width: Half width of the stripe, in quantiles, in (0, 0.5).
        below_sd: Standard deviations of the stripe under its mean that become 0, >= 0.
        above_sd: Likewise over its mean, become 1.
        clip: Whether values outside are cut to [0, 1].

    Source:
        Shinohara et al. 2014, NeuroImage: Clinical 6:9. Ours smooths the histogram by a Gaussian
        where theirs fits a penalised spline.
    """

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

    @property
    def name(self) -> str:
        """Name that is stored with the data, such as "whitestripe-last-0.05-0-1"."""
        return f"whitestripe-{self.peak}-{self.width:g}-{self.below_sd:g}-{self.above_sd:g}"

    @classmethod
    def from_name(cls, name: str, clip: bool = False) -> Self:
        """Rebuild from a stored name.

        >>> WhiteStripeNormaliser.from_name("whitestripe-largest-0.05-0-1").peak
        'largest'
        """
        try:
            kind, peak, width, below, above = name.split("-")
            if kind != "whitestripe":
                raise ValueError(kind)
            return cls(peak, float(width), float(below), float(above), clip)
        except ValueError as error:
            raise no_such_normaliser("whitestripe-last-0.05-0-1", name) from error

    def fit(self, data: np.ndarray, mask: np.ndarray) -> FittedNormaliser:
        """Find the stripe of ``data`` (X, Y, Z) among the voxels in ``mask`` (X, Y, Z).

        Raises:
            MrcontrastError: The mask is empty, or the intensities do not vary in it.
        """
        values = _values(data, mask)
        rank = float((values < find_mode(values, self.peak)).mean())
        ends = np.clip([rank - self.width, rank + self.width], 0, 1)
        lower, upper = np.quantile(values, ends)
        stripe = values[(values >= lower) & (values <= upper)]
        mean, sd = float(stripe.mean()), float(stripe.std())
        if not sd > 0:
            raise _no_spread(mean)
        low, high = mean - self.below_sd * sd, mean + self.above_sd * sd
        return FittedNormaliser(self.name, low, high, self.clip)


def normaliser_from_name(name: str, clip: bool) -> Normaliser:
    """Rebuild any normaliser from the name that is stored with the data.

    >>> normaliser_from_name("zscore-3-3", clip=True)
    ZScoreNormaliser(below_sd=3.0, above_sd=3.0, clip=True)

    Raises:
        MrcontrastError: There is no such normaliser.
    """
    kinds: dict[str, Callable[[str, bool], Normaliser]] = {
        "zscore": ZScoreNormaliser.from_name,
        "whitestripe": WhiteStripeNormaliser.from_name,
        "volume": VolumeMinMaxNormaliser.from_name,
    }
    return kinds.get(name.split("-")[0], PercentileNormaliser.from_name)(name, clip)


def find_mode(values: np.ndarray, peak: str) -> float:
    """Return the intensity of the last or largest peak of a smoothed histogram of (N,) values.

    Peaks lower than a fifth of the largest one are no tissue.
    """
    low, high = np.percentile(values, [0.1, 99.9])
    counts, edges = np.histogram(values, BINS, (low, high))
    smooth = gaussian_filter1d(counts.astype(np.float64), SMOOTHING_BINS, mode="constant")
    inner = smooth[1:-1]
    rises = (inner > smooth[:-2]) & (inner >= smooth[2:]) & (inner > LEAST_PEAK * smooth.max())
    peaks = np.flatnonzero(rises) + 1
    largest = int(np.argmax(smooth))
    chosen = int(peaks[-1]) if peak == "last" and peaks.size else largest
    return float(edges[chosen] + edges[chosen + 1]) / 2


def _values(data: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the intensities in the mask, (N,), float64."""
    values = data[mask > 0].astype(np.float64)
    if not values.size:
        raise MrcontrastError("Expected a mask with voxels, got an empty one. Check the mask.")
    if not np.ptp(values) > 0:
        raise _no_spread(float(values[0]))
    return values


def _no_spread(value: float) -> MrcontrastError:
    return MrcontrastError(
        f"Expected intensities that vary in the mask, got {value:g} throughout. Check the volume."
    )


def _check_range(below_sd: float, above_sd: float) -> None:
    if min(below_sd, above_sd) < 0 or below_sd + above_sd == 0:
        raise UsageError(
            f"Expected below_sd and above_sd >= 0 and one of them above 0, got {below_sd} and "
            f"{above_sd} (normaliser). Change them."
        )
