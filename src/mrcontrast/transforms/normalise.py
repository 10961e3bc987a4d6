"""Intensity normalisation to [0, 1] as a named object that is stored and inverted."""

from dataclasses import asdict, dataclass
from typing import Any, Protocol, Self

import numpy as np

from mrcontrast.errors import MrcontrastError, UsageError


@dataclass(frozen=True)
class FittedNormaliser:
    """A linear map of intensities, fitted to one volume: ``low`` to 0 and ``high`` to 1.

    Attributes:
        name: What fitted it, such as "percentile-0-99.5".
        low: Intensity that becomes 0, in the units of the volume.
        high: Intensity that becomes 1, in the units of the volume.
        clip: Whether values outside [low, high] are cut to [0, 1]; these are not restored.
    """

    name: str
    low: float
    high: float
    clip: bool

    def apply(self, data: np.ndarray) -> np.ndarray:
        """Map intensities (any shape) to float32, in [0, 1] when ``clip``."""
        scaled = (np.asarray(data, np.float32) - self.low) / (self.high - self.low)
        return np.asarray(np.clip(scaled, 0, 1) if self.clip else scaled, np.float32)

    def invert(self, data: np.ndarray) -> np.ndarray:
        """Map normalised values (any shape) back to the units of the volume, float32."""
        return np.asarray(np.asarray(data) * (self.high - self.low) + self.low, np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON keeps exactly."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Rebuild from ``to_dict``.

        Raises:
            MrcontrastError: A value is missing or has another name.
        """
        try:
            return cls(**values)
        except TypeError as error:
            raise MrcontrastError(
                f"Expected name, low, high and clip of a normaliser, got {sorted(values)}. "
                "Prepare the data set again."
            ) from error


class Normaliser(Protocol):
    """What is fitted to each volume anew; its name says how, and is stored with the data."""

    @property
    def name(self) -> str:
        """Name from which `standardise.normaliser_from_name` rebuilds it."""
        ...

    def fit(self, data: np.ndarray, mask: np.ndarray) -> FittedNormaliser:
        """Look at ``data`` (X, Y, Z) over the voxels in ``mask`` (X, Y, Z).

        Raises:
            MrcontrastError: The mask is empty, or the intensities do not vary in it.
        """
        ...


@dataclass(frozen=True)
class PercentileNormaliser:
    """Scale by two percentiles of the intensities in the brain.

    Attributes:
        lower: Percentile that becomes 0, in [0, 100).
        upper: Percentile that becomes 1, in (lower, 100].
        clip: Whether values outside are cut to [0, 1].
    """

    lower: float = 0.0
    upper: float = 99.5
    clip: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.lower < self.upper <= 100:
            raise UsageError(
                f"Expected 0 <= lower < upper <= 100, got {self.lower} and {self.upper} "
                "(normaliser). Change the percentiles."
            )

    @property
    def name(self) -> str:
        """Name that is stored with the data, such as "percentile-0-99.5"."""
        return f"percentile-{self.lower:g}-{self.upper:g}"

    @classmethod
    def from_name(cls, name: str, clip: bool = True) -> Self:
        """Rebuild from a stored name, to fit a new volume as the training data were fitted.

        >>> PercentileNormaliser.from_name("percentile-0-99.5")
        PercentileNormaliser(lower=0.0, upper=99.5, clip=True)
        """
        try:
            kind, lower, upper = name.split("-")
            if kind != "percentile":
                raise ValueError(kind)
            return cls(float(lower), float(upper), clip)
        except ValueError as error:
            raise no_such_normaliser("percentile-0-99.5", name) from error

    def fit(self, data: np.ndarray, mask: np.ndarray) -> FittedNormaliser:
        """Take the percentiles of ``data`` (X, Y, Z) over the voxels in ``mask`` (X, Y, Z).

        Raises:
            MrcontrastError: The mask is empty, or both percentiles are the same intensity.
        """
        if not mask.any():
            raise MrcontrastError("Expected a mask with voxels, got an empty one. Check the mask.")
        low, high = np.percentile(data[mask > 0].astype(np.float64), [self.lower, self.upper])
        if not high > low:
            raise MrcontrastError(
                f"Expected intensities that vary in the mask, got {low:g} at both percentiles "
                f"{self.lower:g} and {self.upper:g}. Check the volume."
            )
        return FittedNormaliser(self.name, float(low), float(high), self.clip)


class MinMaxNormaliser(PercentileNormaliser):
    """Scale by the smallest and largest intensity in the brain: percentiles 0 and 100."""

    def __init__(self) -> None:
        super().__init__(lower=0.0, upper=100.0, clip=True)


def no_such_normaliser(example: str, name: str) -> MrcontrastError:
    """Word the fault of a stored name that no normaliser has."""
    return MrcontrastError(
        f'Expected a normaliser such as "{example}", got "{name}". Prepare the data set again.'
    )
