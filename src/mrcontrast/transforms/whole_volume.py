"""A normaliser that looks at the whole field of view, as some published models were trained."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from mrcontrast.errors import MrcontrastError
from mrcontrast.transforms.normalise import FittedNormaliser

NAME = "volume"


@dataclass(frozen=True)
class VolumeMinMaxNormaliser:
    """Scale by the smallest and largest intensity of the volume, in the brain or not.

    One bright voxel decides the scale: prefer percentiles where no published model is repeated.

    Attributes:
        clip: Whether values outside are cut to [0, 1]; of the volume itself there are none.
    """

    clip: bool = True

    @property
    def name(self) -> str:
        """Name that is stored with the data."""
        return f"{NAME}-0-100"

    @classmethod
    def from_name(cls, name: str, clip: bool = True) -> Self:
        """Rebuild from a stored name.

        Raises:
            MrcontrastError: It is another one's name.
        """
        if name != cls(clip).name:
            raise MrcontrastError(
                f'Expected the normaliser "{cls(clip).name}", got "{name}". '
                "Prepare the data set again."
            )
        return cls(clip)

    def fit(self, data: np.ndarray, mask: np.ndarray) -> FittedNormaliser:
        """Take the extremes of ``data`` (X, Y, Z); ``mask`` (X, Y, Z) does not matter.

        Raises:
            MrcontrastError: All voxels are the same.
        """
        low, high = float(np.min(data)), float(np.max(data))
        if not high > low:
            raise MrcontrastError(
                f"Expected intensities that vary, got {low:g} throughout. Check the volume."
            )
        return FittedNormaliser(self.name, low, high, self.clip)
