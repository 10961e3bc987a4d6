"""Field of view and grid of a session; masks and labels follow the reference."""

from dataclasses import dataclass, replace

import numpy as np

from mrcontrast.data.record import MASKS, SCANNED_SLICES
from mrcontrast.errors import MrcontrastError
from mrcontrast.preparation.subject import RefusedError, Subject
from mrcontrast.storage.volume import Volume
from mrcontrast.transforms.grid import ModelGrid, field_of_view, resample_labels, resample_to
from mrcontrast.transforms.orientation import to_ras


@dataclass(frozen=True)
class CutBlock:
    """Cut a block of voxels out of the field of view, by index along RAS axes.

    Attributes:
        first: Index of the first voxel along x, y, z, each >= 0.
        shape: Voxels along x, y, z.
    """

    first: tuple[int, int, int]
    shape: tuple[int, int, int]

    def __call__(self, subject: Subject) -> Subject:
        """Return the block; raise MrcontrastError if it is not in the field of view."""
        subject.check_one_grid()
        ends = [start + size for start, size in zip(self.first, self.shape, strict=True)]
        found = to_ras(subject.like).shape
        if min(self.first) < 0 or any(end > size for end, size in zip(ends, found, strict=True)):
            raise MrcontrastError(
                f"Expected at least {tuple(ends)} voxels, got {found}. "
                "Change CutBlock or leave the scan out."
            )

        def cut(data: np.ndarray, affine: np.ndarray) -> Volume:
            turned = to_ras(Volume(data, affine))
            block = turned.data[tuple(map(slice, self.first, ends))]
            origin = turned.affine @ [*self.first, 1]
            return Volume(block, np.column_stack([turned.affine[:, :3], origin]))

        done = replace(
            subject, images={name: cut(v.data, v.affine) for name, v in subject.images.items()}
        )
        for name in MASKS:
            if (data := getattr(subject, name)) is not None:
                setattr(done, name, cut(data, subject.like.affine).data)
        return done


@dataclass(frozen=True)
class ToGrid:
    """Bring everything to the grid of the models; labels and masks stay whole numbers.

    Each contrast is interpolated once, from its own grid, by linear splines; axes whose voxels grow
    are smoothed before.

    Attributes:
        grid: The same for all subjects.
        centre_mm: World point (x, y, z) in the middle of the grid; None: the middle of the brain.
        largest_cut: Share of the brain, in [0, 1], that may lie outside the grid at ``centre_mm``.
    """

    grid: ModelGrid
    centre_mm: tuple[float, float, float] | None = None
    largest_cut: float = 0.0

    def __call__(self, subject: Subject) -> Subject:
        """Return the session on the grid; raise MrcontrastError if the brain does not fit."""
        affine, shape = self.place(subject)
        old, labels = subject.like.affine, subject.labels

        def mask(data: np.ndarray | None) -> np.ndarray | None:
            if data is None:
                return None
            return resample_to(Volume(data.astype(np.float32), old), affine, shape) > 0.5

        done = replace(
            subject,
            images={
                name: Volume(resample_to(volume, affine, shape, repeat_ends=True), affine)
                for name, volume in subject.images.items()
            },
            brain_mask=mask(subject.brain_mask),
            lesion_mask=mask(subject.lesion_mask),
            labels=None if labels is None else resample_labels(labels, old, affine, shape),
        )
        scanned = measure_scanned(field_of_view(subject.like, affine, shape), done.brain)
        measures = {SCANNED_SLICES: scanned} if scanned else {}
        return replace(done, measures=subject.measures | measures)

    def place(self, subject: Subject) -> tuple[np.ndarray, tuple[int, int, int]]:
        """Return affine (4, 4) and shape of the grid for one session."""
        spacing, shape = self.grid.spacing_mm, self.grid.shape
        affine, needed = self.grid.place(subject.like, subject.brain)
        if self.centre_mm is None:
            if needed != shape:
                raise MrcontrastError(
                    f"Expected a brain that fits {shape} voxels of {spacing} "
                    f"mm, got one that needs {needed}. Enlarge recipe.grid.shape or check the mask."
                )
            return affine, shape
        affine = np.diag([spacing] * 3 + [1.0])
        affine[:3, 3] = np.array(self.centre_mm) - spacing * (np.array(shape) - 1) / 2
        places = np.array(np.nonzero(subject.brain), np.float64)
        places = np.vstack([places, np.ones(places.shape[1])])
        voxels = (np.linalg.inv(affine) @ subject.like.affine @ places)[:3].T
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


def measure_scanned(field: np.ndarray, brain: np.ndarray) -> list[int] | None:
    """Return the first and last axial slice that were scanned where the brain is; None for none.

    ``field`` and ``brain`` are (X, Y, Z), bool; most columns of a slice with brain must be in it.
    """
    columns = brain.any(axis=2)
    if not columns.any():
        return None
    covered = np.flatnonzero(field[columns].mean(axis=0) > 0.5)
    return [int(covered[0]), int(covered[-1])] if len(covered) else None
