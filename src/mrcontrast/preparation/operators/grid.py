"""The grid of the models: one interpolation, from wherever the operators have moved a volume."""

from dataclasses import dataclass, replace

import numpy as np

from mrcontrast.data.scanned import SCANNED_SLICES, measure_scanned
from mrcontrast.errors import MrcontrastError
from mrcontrast.preparation.operators.masks import brain_of
from mrcontrast.preparation.subject import RefusedError, Subject
from mrcontrast.storage.volume import Volume
from mrcontrast.transforms.grid import ModelGrid, field_of_view, resample_labels, resample_to


@dataclass(frozen=True)
class ToGrid:
    """Bring everything to the grid of the models; labels and masks stay whole numbers.

    Each contrast is interpolated once, from its own grid, by linear splines; it is smoothed before
    along axes whose voxels grow.

    Attributes:
        grid: The same for all subjects.
        centre_mm: World point (x, y, z) in the middle of the grid; None: the middle of the brain.
        largest_cut: Share of the brain, in [0, 1], that may lie outside the grid at ``centre_mm``.
    """

    grid: ModelGrid
    centre_mm: tuple[float, float, float] | None = None
    largest_cut: float = 0.0

    def __call__(self, subject: Subject) -> Subject:
        """Return the session on the grid.

        Raises:
            MrcontrastError: There is no mask, it is empty, or the brain does not fit the grid.
        """
        affine, shape = self.place(subject)

        def moved(volume: Volume) -> Volume:
            return Volume(resample_to(volume, affine, shape, repeat_ends=True), affine)

        def moved_mask(mask: np.ndarray | None) -> np.ndarray | None:
            if mask is None:
                return None
            share = Volume(mask.astype(np.float32), subject.flair.affine)
            return resample_to(share, affine, shape) > 0.5

        labels = subject.labels
        if labels is not None:
            labels = resample_labels(labels, subject.flair.affine, affine, shape)
        brain = moved_mask(brain_of(subject))
        assert brain is not None
        scanned = measure_scanned(field_of_view(subject.flair, affine, shape), brain)
        return replace(
            subject,
            measures=subject.measures | ({SCANNED_SLICES: scanned} if scanned else {}),
            flair=moved(subject.flair),
            t1w=moved(subject.t1w),
            brain_mask=brain,
            lesion_mask=moved_mask(subject.lesion_mask),
            labels=labels,
        )

    def place(self, subject: Subject) -> tuple[np.ndarray, tuple[int, int, int]]:
        """Return affine (4, 4) and shape of the grid for one session."""
        brain, spacing, shape = brain_of(subject), self.grid.spacing_mm, self.grid.shape
        affine, needed = self.grid.place(subject.flair, brain)
        if self.centre_mm is None:
            if needed != shape:
                raise MrcontrastError(
                    f"Expected a brain that fits {shape} voxels of {spacing} "
                    f"mm, got one that needs {needed}. Enlarge recipe.grid.shape or check the mask."
                )
            return affine, shape
        affine = np.diag([spacing] * 3 + [1.0])
        affine[:3, 3] = np.array(self.centre_mm) - spacing * (np.array(shape) - 1) / 2
        voxels = (np.linalg.inv(affine) @ subject.flair.affine @ _homogeneous(brain))[:3].T
        outside = ((voxels < -0.5) | (voxels > np.array(shape) - 0.5)).any(axis=1)
        cut = round(float(outside.mean()), 4)
        if cut > self.largest_cut:
            raise RefusedError(
                f"Expected a brain within {shape} voxels of {spacing} mm around "
                f"{tuple(self.centre_mm)}, got one of which {cut:.1%} is outside. "
                "Enlarge recipe.grid.shape or largest_cut, or check the mask.",
                "grid_cut",
                cut,
                f"<= {self.largest_cut:g}",
            )
        return affine, shape


def _homogeneous(mask: np.ndarray) -> np.ndarray:
    """Return the voxels of a mask (X, Y, Z) as columns, (4, N)."""
    found = np.array(np.nonzero(mask), np.float64)
    return np.vstack([found, np.ones(found.shape[1])])
