"""Memory-mapped copies of prepared volumes, so that no NIfTI is read in the training loop."""

import hashlib
import os
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mrcontrast.data.record import ABSENT, Record
from mrcontrast.errors import MrcontrastError
from mrcontrast.storage.files import replacing, sha256_file
from mrcontrast.storage.volume import MAP, read_mask, read_volume, same_grid

STORE_VERSION = 1
MOST_OPEN_FILES = 256  # each map holds a file descriptor; shells commonly allow 1024


class VolumeStore(Sequence[np.ndarray]):
    """Arrays (N + 1, X, Y, Z) float16 of N contrasts and the brain mask, one for each record.

    On disk the axes are (Z, N + 1, X, Y), so that an axial slice is one contiguous read. Half
    precision errs by at most 2.5e-4 on intensities in [0, 1]. Arrays are mapped copy-on-write:
    a change stays in memory. The store pickles to worker processes without its maps.

    ``present`` says whether each record has each source, (N - 1) numbers 0 or 1; None: all have.
    """

    def __init__(self, paths: list[Path], present: list[list[float]] | None = None) -> None:
        self.paths = paths
        self.present = present
        self._maps: OrderedDict[int, np.ndarray] = OrderedDict()

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: Any) -> Any:  # noqa: ANN401 - the signature of Sequence
        """Return the array (N + 1, X, Y, Z) of record ``index``, a view of (Z, N + 1, X, Y)."""
        return self.slices(index).transpose(1, 2, 3, 0)

    def slices(self, index: int) -> np.ndarray:
        """Return the array of record ``index`` as it is on disk, (Z, N + 1, X, Y)."""
        if index not in self._maps:
            self._maps[index] = np.load(self.paths[index], mmap_mode="c")
            if len(self._maps) > MOST_OPEN_FILES:
                self._maps.popitem(last=False)
        return self._maps[index]

    def brain_area(self, index: int) -> np.ndarray:
        """Return the number of brain voxels in each axial slice of record ``index``, (Z,)."""
        return np.load(area_path(self.paths[index]))

    def __getstate__(self) -> dict[str, object]:
        """Leave the open maps behind: they would pickle as full copies."""
        return {"paths": self.paths, "present": self.present, "_maps": OrderedDict()}


def open_store(
    records: Sequence[Record], folder: Path, contrasts: Sequence[str], optional: Sequence[str] = ()
) -> VolumeStore:
    """Open the store of some records of one grid and make what is missing from it.

    Several processes may do so at once: each file is written under a name of its own and then
    renamed, and its name is the hash of what is in it. Channels follow ``contrasts``, the target
    last; that of an ``optional`` contrast is 0 where a record lacks it.

    MrcontrastError: the folder cannot be written to, a record lacks a contrast, or a volume has
    changed since the data set was prepared.
    """
    paths = [folder / f"{record_key(record, contrasts, optional)}.npy" for record in records]
    for record, path in zip(records, paths, strict=True):
        if path.is_file() and area_path(path).is_file():
            continue
        slices = read_record(record, contrasts)
        area = np.count_nonzero(slices[:, -1], axis=(1, 2))
        try:
            for array, place in ((area, area_path(path)), (slices, path)):
                with replacing(place) as unfinished, unfinished.open("wb") as file:
                    np.save(file, array)
        except MrcontrastError as error:
            raise MrcontrastError(f"{error} MRCONTRAST_CACHE=<folder> sets one.") from error
    present = [[float(name in each.images) for name in contrasts[:-1]] for each in records]
    return VolumeStore(paths, present if optional else None)


def record_key(record: Record, contrasts: Sequence[str], optional: Sequence[str] = ()) -> str:
    """Return 16 hexadecimal digits that change when the voxels or the form of the store do."""
    if lacking := [name for name in contrasts if name not in (*record.images, *optional)]:
        raise MrcontrastError(
            f"Expected {', '.join(contrasts)} of {record.name}, got no {', '.join(lacking)} "
            f"({record.brain_mask.parent}). Set data.source and data.target to contrasts that all "
            f"sessions have, such as {', '.join(record.images)}, or data.optional=[{lacking[0]}]."
        )
    hashes = [record.sha256.get(name, ABSENT) for name in contrasts]
    parts = (str(STORE_VERSION), *hashes, sha256_file(record.brain_mask))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def area_path(path: Path) -> Path:
    """Return the file with the brain area of each slice of a stored record."""
    return path.with_suffix(".area.npy")


def read_record(record: Record, contrasts: Sequence[str]) -> np.ndarray:
    """Return N contrasts, 0 where absent, and the brain mask, (Z, N + 1, X, Y) float16."""
    names = [name for name in contrasts if name in record.images]
    volumes = {}
    for name in names:
        path, sha256 = record.images[name], record.sha256[name]
        if (got := sha256_file(path)) != sha256:
            raise MrcontrastError(
                f"Expected SHA-256 {sha256[:12]}, got {got[:12]} ({path}). "
                "Prepare the data set again."
            )
        volumes[name] = read_volume(path, record.normalisers[name]["name"] == MAP)
    first = volumes[names[0]]
    for name in names[1:]:
        same_grid(first, volumes[name], record.images[names[0]], record.images[name])
    mask = read_mask(record.brain_mask, first)
    absent = np.zeros_like(first.data)
    images = [volumes[name].data if name in volumes else absent for name in contrasts]
    stacked = np.stack([*images, mask]).astype(np.float16)
    return np.ascontiguousarray(stacked.transpose(3, 0, 1, 2))


def store_folder(root: Path) -> Path:
    """Return the folder of the store of a data set: ``$MRCONTRAST_CACHE``, else ``root/.store``."""
    cache = os.environ.get("MRCONTRAST_CACHE")
    return Path(cache) / "store" if cache else root / ".store"
