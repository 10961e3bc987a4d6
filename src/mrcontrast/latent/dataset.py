"""Cached latents as training items."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from mrcontrast.errors import MrcontrastError
from mrcontrast.latent.stored_caches import MEAN, UnusableError, read_card


class LatentDataset(Dataset):
    """Training items read from a finished cache folder, variant after variant.

    Each item has "target_mean" and "target_sigma", (C, *S / f), and what the condition computes
    once; all are float32. It pickles to worker processes as a path: each maps the files for itself.

    Args:
        folder: A cache that ``LatentStore`` has built.

    Raises:
        MrcontrastError: The cache is not there or not whole.
    """

    def __init__(self, folder: Path) -> None:
        try:
            card = read_card(folder)
        except UnusableError as error:
            raise MrcontrastError(
                f"Expected a whole latent cache, got a fault: {error} ({folder}). Run again."
            ) from error
        self.folder = folder
        self.arrays = {name: np.load(folder / f"{name}.npy", "r") for name in card["arrays"]}

    def __len__(self) -> int:
        return len(self.arrays[MEAN])

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {
            name: torch.from_numpy(array[index].astype(np.float32))
            for name, array in self.arrays.items()
        }

    def __reduce__(self) -> tuple[Callable[[Path], "LatentDataset"], tuple[Path]]:
        """Leave the open maps behind: they would pickle as full copies."""
        return LatentDataset, (self.folder,)
