"""Cached latents as training items."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from mrcontrast.errors import MrcontrastError
from mrcontrast.latent.stored_caches import UnusableError, read_card


class LatentDataset(Dataset):
    """Training items read from finished cache folders, variant after variant.

    Each item has "target_mean" and "target_sigma", (C, *S / f), and the signals of a condition; all
    are float32. It pickles to worker processes as paths: each process maps the files for itself.
    The folders are of the same items; one that is not whole is MrcontrastError.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = tuple(folders)
        self.arrays: dict[str, np.ndarray] = {}
        for folder in folders:
            try:
                names = read_card(folder)["arrays"]
            except UnusableError as error:
                raise MrcontrastError(
                    f"Expected a whole latent cache, got a fault: {error} ({folder}). Run again."
                ) from error
            self.arrays |= {name: np.load(folder / f"{name}.npy", "r") for name in names}

    def __len__(self) -> int:
        return min(map(len, self.arrays.values()))

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {
            name: torch.from_numpy(array[index].astype(np.float32))
            for name, array in self.arrays.items()
        }

    def __reduce__(self) -> tuple[Callable[..., "LatentDataset"], tuple[tuple[Path, ...]]]:
        """Leave out the open maps, which would pickle as full copies."""
        return LatentDataset, (self.folders,)
