"""Check for copies of training data: the nearest training neighbour of a synthetic volume."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from mrcontrast.storage.npy_file import NpyFile, needing, size_of
from mrcontrast.storage.parallel import Workers
from mrcontrast.storage.volume import Volume, read_volume

SPACING_MM = 6.0  # coarse enough to be quick, fine enough for ventricles and lobes
COPIED_BELOW = 0.5


@dataclass(frozen=True)
class Nearest:
    """Root mean square distances of one synthetic volume on a coarse grid, in its own units."""

    training: float  # to the nearest training image
    name: str  # session of that image
    real: float  # from the subject's real image to its nearest training image
    truth: float  # to the subject's real image

    @property
    def ratio(self) -> float | None:
        """Distance to training data over that of the real image; None if that is 0."""
        return self.training / self.real if self.real else None


@dataclass(frozen=True)
class TrainingSet:
    """Small copies of the training volumes of sessions, in a NumPy file (N, *S) float32."""

    names: tuple[str, ...]
    file: Path

    def nearest(self, synthetic: Volume, real: Volume, mask: np.ndarray) -> Nearest:
        """Compare one synthetic and its real volume, in the mask, with all copies."""
        copies = np.load(self.file, mmap_mode="r")
        ours, theirs = (coarse(Volume(v.data * mask, v.affine)) for v in (synthetic, real))
        distances = [_distance(copy, ours) for copy in copies]
        index = int(np.argmin(distances))
        of_real = min(_distance(copy, theirs) for copy in copies)
        return Nearest(distances[index], self.names[index], of_real, _distance(ours, theirs))


def store_training(volumes: Mapping[str, Path], folder: Path, pool: Workers) -> TrainingSet:
    """Write small copies of training volumes, all on one grid and 0 outside the brain.

    One is in memory at a time.

    Raises:
        MrcontrastError: A file cannot be read, or the folder has too little space.
    """
    path, copies = folder / "training.npy", pool.map(_read_coarse, list(volumes.values()))
    first = next(copies)
    shape, dtype = (len(volumes), *first.shape), np.dtype(np.float32)
    size_bytes = size_of(dtype, shape)
    with needing(size_bytes, folder):
        file = NpyFile(path, dtype, shape)
    with file:
        for copy in chain([first], copies):
            with needing(size_bytes, folder):
                file.append(copy[None])
    return TrainingSet(tuple(volumes), path)


def coarse(volume: Volume) -> np.ndarray:
    """Average blocks of voxels to about 6 mm, (*S) float32; incomplete blocks are dropped."""
    image = volume.data
    for axis, step in enumerate(volume.spacing_mm):
        block = max(1, min(round(SPACING_MM / step), image.shape[axis]))
        moved = np.moveaxis(image, axis, 0)
        moved = moved[: len(moved) // block * block]
        blocks = moved.reshape(-1, block, *moved.shape[1:]).mean(axis=1, dtype=np.float32)
        image = np.moveaxis(blocks, 0, axis)
    return np.ascontiguousarray(image, np.float32)


def summarise_nearest(found: Mapping[str, Mapping[str, Nearest]]) -> dict[str, Any]:
    """Return the distances by method and session, and the subjects that look copied."""
    methods = {}
    for method, sessions in found.items():
        ratios = {n: near.ratio for n, near in sessions.items() if near.ratio is not None}
        methods[method] = {
            "mean_ratio": float(np.mean(list(ratios.values()))) if ratios else None,
            "least_ratio": min(ratios.values(), default=None),
            "copied": sorted(name for name, ratio in ratios.items() if ratio < COPIED_BELOW),
            "nearer_to_training_than_to_truth": sorted(
                name for name, nearest in sessions.items() if nearest.training < nearest.truth
            ),
            "sessions": {
                name: {"training": n.training, "nearest": n.name, "real": n.real, "truth": n.truth}
                for name, n in sessions.items()
            },
        }
    return {
        "words": "root mean square distance on a grid of about "
        f"{SPACING_MM:g} mm to the nearest training image. ratio: of the synthetic over that of "
        "the subject's own real image; about 1 for a new subject, less for a smooth image, "
        f"0 for a copy. copied: below {COPIED_BELOW:g}",
        "methods": methods,
    }


def _read_coarse(path: Path) -> np.ndarray:
    return coarse(read_volume(path))


def _distance(one: np.ndarray, other: np.ndarray) -> float:
    """Return the root mean square distance of two images (*S)."""
    return float(np.sqrt(np.mean((one - other) ** 2)))
