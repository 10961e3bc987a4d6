"""Arrays that are too large for memory, written batch by batch."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from mrcontrast.errors import MrcontrastError
from mrcontrast.latent.stored_caches import precision_of
from mrcontrast.storage.npy_file import NpyFile, needing, size_of

ADVICE = "Free some space or set MRCONTRAST_CACHE=<folder>."


class ArrayWriter:
    """Fills NumPy files ``<name>.npy`` of so many items from their first item to the last."""

    def __init__(self, folder: Path, length: int) -> None:
        self.folder, self.length = folder, length
        self.row = self.size_bytes = 0
        self.files: dict[str, NpyFile] = {}
        self.open_files = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.open_files.close()

    def append(self, values: Mapping[str, Tensor]) -> None:
        """Write the next items, (B, ...); MrcontrastError if one is not finite or the disk full."""
        end = self.row + len(next(iter(values.values())))
        for name, value in values.items():
            if not bool(torch.isfinite(value).all()):
                raise MrcontrastError(
                    f"Expected finite values of {name}, got NaN or infinity (training items "
                    f"{self.row} to {end - 1}). Train the autoencoder again."
                )
        if not self.files:
            self.reserve({name: value.shape[1:] for name, value in values.items()})
        with needing(self.size_bytes, self.folder, ADVICE):
            for name, value in values.items():
                self.files[name].append(value.cpu().numpy())
        self.row = end

    def reserve(self, item_shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Create the files with space for all items."""
        shapes = {name: (self.length, *shape) for name, shape in item_shapes.items()}
        if strange := [name for name in shapes if precision_of(name) is None]:
            raise ValueError(f"expected a key that a cache has or signal_*, got: {strange[0]}")
        types = {name: np.dtype(precision_of(name)) for name in shapes}
        self.size_bytes = sum(size_of(types[name], shape) for name, shape in shapes.items())
        with needing(self.size_bytes, self.folder, ADVICE):
            for name, shape in shapes.items():
                file = NpyFile(self.folder / f"{name}.npy", types[name], shape)
                self.files[name] = self.open_files.enter_context(file)

    def finish(self) -> dict[str, list[int]]:
        """Bring everything to the disk and return the shapes by name."""
        with needing(self.size_bytes, self.folder, ADVICE):
            for file in self.files.values():
                file.finish()
        return {name: list(file.shape) for name, file in self.files.items()}
