"""Arrays that are too large for memory, written batch by batch."""

import shutil
from collections.abc import Mapping
from math import prod
from pathlib import Path

import numpy as np
import torch
from numpy.typing import DTypeLike
from torch import Tensor

from mrcontrast.errors import MrcontrastError


class ArrayWriter:
    """Fills memory-mapped files, one for each name, from their first item to the last.

    Args:
        folder: Where the files ``<name>.npy`` go.
        length: Items in all.
        precision: Type of each array on the disk, by name.
    """

    def __init__(self, folder: Path, length: int, precision: Mapping[str, DTypeLike]) -> None:
        self.folder = folder
        self.length = length
        self.precision = precision
        self.row = 0
        self.arrays: dict[str, np.memmap] = {}

    def append(self, values: Mapping[str, Tensor]) -> None:
        """Write the next items, each tensor (B, ...).

        Raises:
            MrcontrastError: A value is not finite.
            OSError: They will not fit on the disk.
        """
        if not self.arrays:
            self.allocate({name: value.shape[1:] for name, value in values.items()})
        end = self.row + len(next(iter(values.values())))
        for name, value in values.items():
            if not bool(torch.isfinite(value).all()):
                raise MrcontrastError(
                    f"Expected finite values of {name}, got NaN or infinity (training items "
                    f"{self.row} to {end - 1}). Train the autoencoder again."
                )
            self.arrays[name][self.row : end] = value.cpu().numpy()
        self.row = end

    def allocate(self, item_shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Create the files; writing through a map to a full disk would kill the process."""
        shapes = {name: (self.length, *shape) for name, shape in item_shapes.items()}
        types = {name: np.dtype(self.precision[name]) for name in shapes}
        wanted = sum(prod(shape) * types[name].itemsize for name, shape in shapes.items())
        free = shutil.disk_usage(self.folder).free
        if wanted > free:
            raise OSError(f"{free / 1e9:.1f} GB free where {wanted / 1e9:.1f} GB are needed")
        for name, shape in shapes.items():
            path = self.folder / f"{name}.npy"
            self.arrays[name] = np.lib.format.open_memmap(path, "w+", types[name], shape)

    def finish(self) -> dict[str, list[int]]:
        """Bring everything to the disk and return the shapes by name."""
        for array in self.arrays.values():
            array.flush()
        return {name: list(array.shape) for name, array in self.arrays.items()}
