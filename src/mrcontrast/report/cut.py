"""A slice through a volume, as figures show it."""

from dataclasses import dataclass

import numpy as np

PLANES = {"axial": (2, "R"), "coronal": (1, "R"), "sagittal": (0, "A")}


@dataclass(frozen=True)
class Cut:
    """A slice through a volume, cropped to the brain."""

    plane: str
    index: int
    crop: tuple[slice, slice]
    aspect: float

    def show(self, volume: np.ndarray) -> np.ndarray:
        """Return the slice with the top up and the patient's right, or the front, at the left."""
        section = np.take(volume, self.index, axis=PLANES[self.plane][0])[self.crop]
        return np.asarray(section)[::-1].T

    @property
    def height(self) -> float:
        """Height of the picture in widths."""
        width, height = (part.stop - part.start for part in self.crop)
        return self.aspect * height / width
