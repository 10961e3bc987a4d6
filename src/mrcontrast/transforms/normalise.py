"""Intensity normalisation to [0, 1] by named objects, which are stored and inverted."""

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Self

import numpy as np

from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.storage.volume import MAP


@dataclass(frozen=True)
class FittedNormaliser:
    """A linear map of intensities, fitted to one volume: ``low`` to 0 and ``high`` to 1.

    With ``clip``, values outside [low, high] are cut to [0, 1]; these are not restored.
    """

    name: str  # of its normaliser, such as "percentile-0-99.5"
    low: float  # in the units of the volume
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


class Normaliser(ABC):
    """A rule that is fitted to each volume anew; subclasses are dataclasses with ``clip`` last.

    Attributes:
        example: A name with its kind and the values of all fields but ``clip``.
    """

    example: ClassVar[str]
    clip: bool

    @property
    def name(self) -> str:
        """Name that is stored with the data, such as "percentile-0-99.5"."""
        kind, *_ = self.example.split("-")
        values = [getattr(self, each.name) for each in fields(self)[:-1]]  # type: ignore[arg-type]
        return "-".join([kind, *(v if isinstance(v, str) else f"{v:g}" for v in values)])

    @classmethod
    def from_name(cls, name: str, clip: bool = True) -> Self:
        """Rebuild from a stored name, to fit a new volume like the training data.

        >>> PercentileNormaliser.from_name("percentile-0-99.5")
        PercentileNormaliser(lower=0.0, upper=99.5, clip=True)
        """
        kind, *texts = name.split("-")
        try:
            pairs = zip(fields(cls)[:-1], texts, strict=True)  # type: ignore[arg-type]
            values = [text if each.type is str else float(text) for each, text in pairs]
            if kind != cls.example.split("-")[0]:
                raise ValueError(kind)
        except ValueError as error:
            raise MrcontrastError(
                f'Expected a normaliser such as "{cls.example}", got "{name}". '
                "Prepare the data set again."
            ) from error
        return cls(*values, clip=clip)  # type: ignore[call-arg]

    @abstractmethod
    def fit(self, data: np.ndarray, mask: np.ndarray) -> FittedNormaliser:
        """Fit to ``data`` (X, Y, Z) over the voxels in ``mask`` (X, Y, Z).

        Raises:
            MrcontrastError: The mask is empty, or the intensities do not vary in it.
        """


@dataclass(frozen=True)
class UnitNormaliser(Normaliser):
    """Change nothing: for maps whose values are in [0, 1] already, such as edges or labels.

    Attributes:
        clip: Whether values outside are cut to [0, 1]; there are none.
    """

    example: ClassVar[str] = MAP
    clip: bool = True

    def fit(self, data: np.ndarray, mask: np.ndarray) -> FittedNormaliser:
        """Check the range; see `Normaliser`. Values need not vary."""
        inside = data[mask]
        if not inside.size or not -1e-3 <= inside.min() <= inside.max() <= 1 + 1e-3:
            found = f"{inside.min():g} to {inside.max():g}" if inside.size else "no voxel"
            raise MrcontrastError(
                f"Expected values in [0, 1] in the brain, got {found}. Divide labels by the "
                "highest one."
            )
        return FittedNormaliser(self.name, 0.0, 1.0, self.clip)


@dataclass(frozen=True)
class PercentileNormaliser(Normaliser):
    """Scale by two percentiles of the intensities in the brain.

    Attributes:
        lower: Percentile that becomes 0, in [0, 100).
        upper: Percentile that becomes 1, in (lower, 100].
        clip: Whether values outside are cut to [0, 1].
    """

    example: ClassVar[str] = "percentile-0-99.5"
    lower: float = 0.0
    upper: float = 99.5
    clip: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.lower < self.upper <= 100:
            raise UsageError(
                f"Expected 0 <= lower < upper <= 100, got {self.lower} and {self.upper} "
                "(normaliser). Change the percentiles."
            )

    def fit(self, data: np.ndarray, mask: np.ndarray) -> FittedNormaliser:
        """Take the percentiles; see `Normaliser`."""
        low, high = np.percentile(values_in(data, mask), [self.lower, self.upper])
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


@dataclass(frozen=True)
class VolumeMinMaxNormaliser(Normaliser):
    """Scale by the smallest and largest intensity of the volume, in the brain or not.

    Some published models were trained so. One bright voxel decides the scale: prefer percentiles.

    Attributes:
        clip: Whether values outside are cut to [0, 1].
    """

    example: ClassVar[str] = "volume-0-100"
    clip: bool = True

    @property
    def name(self) -> str:
        """Name that is stored with the data."""
        return self.example

    @classmethod
    def from_name(cls, name: str, clip: bool = True) -> Self:
        """Rebuild from a stored name."""
        return super().from_name("volume" if name == cls.example else name, clip)

    def fit(self, data: np.ndarray, mask: np.ndarray) -> FittedNormaliser:
        """Take the extremes of ``data`` (X, Y, Z); ``mask`` (X, Y, Z) is not used."""
        low, high = float(np.min(data)), float(np.max(data))
        check_varies(low, high - low)
        return FittedNormaliser(self.name, low, high, self.clip)


def values_in(data: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the intensities in the mask, (N,), float64; MrcontrastError if there are none."""
    values = data[mask > 0].astype(np.float64)
    if not values.size:
        raise MrcontrastError("Expected a mask with voxels, got an empty one. Check the mask.")
    check_varies(float(values[0]), float(np.ptp(values)))
    return values


def check_varies(value: float, spread: float) -> None:
    """Raise MrcontrastError if the spread of intensities near a value is not above 0."""
    if not spread > 0:
        raise MrcontrastError(
            f"Expected intensities that vary in the mask, got {value:g} throughout. "
            "Check the volume."
        )
