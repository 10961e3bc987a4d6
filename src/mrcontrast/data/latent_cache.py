"""Latents encoded once and read for ever: memory-mapped, keyed by all that they depend on."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from mrcontrast import keys
from mrcontrast.latents import AutoencoderCodec

VERSION = 1
MEAN, SIGMA = "t1w_mean", "t1w_sigma"


class LatentSource(Protocol):
    """What a data module must have so that latents can take the place of its images."""

    train_items: Any

    def variant(self, index: int) -> Any:  # noqa: ANN401 - a sized dataset
        """Return the training items under the ``index``-th augmentation; 0 is none."""

    def fingerprint(self) -> dict[str, Any]:
        """Return all that decides the items' voxels, as JSON."""


class LatentDataset(Dataset):
    """Training items read from a finished cache folder.

    Each item has "t1w_mean" and "t1w_sigma", (C, *S / f), and "flair", (1 + 2k, *S), if cached.
    """

    def __init__(self, folder: Path) -> None:
        arrays = json.loads((folder / "cache.json").read_text())["arrays"]
        self.arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in arrays}

    def __len__(self) -> int:
        return len(self.arrays[MEAN])

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {
            name: torch.from_numpy(array[index].astype(np.float32))
            for name, array in self.arrays.items()
        }


class LatentStore:
    """Keeps the posterior mean and sigma of training items, so that no step encodes again.

    The folder's name is a hash of the data, the transforms and the autoencoder: a cache that no
    longer fits is never found. It is built aside and renamed, so half a cache is never read.

    Args:
        folder: Where caches lie, one folder each.
        variants: How many augmented versions of each item to store; the first has none.
        batch_size: Items that are encoded together.
    """

    def __init__(self, folder: str, variants: int = 1, batch_size: int = 32) -> None:
        self.folder = Path(folder)
        self.variants = variants
        self.batch_size = batch_size

    def install(self, datamodule: LatentSource, codec: AutoencoderCodec, with_flair: bool) -> None:
        """Let the data module serve cached latents; build the cache where there is none yet.

        Args:
            datamodule: Its ``train_items`` are replaced.
            codec: The frozen autoencoder.
            with_flair: Keep FLAIR beside the latents, as a ControlNet needs.
        """
        target = self.folder / self.key(datamodule, codec, with_flair)
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{target}.lock"):
            if not (target / "cache.json").is_file():
                self.write(target, datamodule, codec, with_flair)
        datamodule.train_items = LatentDataset(target)

    def key(self, datamodule: LatentSource, codec: AutoencoderCodec, with_flair: bool) -> str:
        """Return the name of the cache folder, 24 hexadecimal digits."""
        facts = {
            "version": VERSION,
            "items": datamodule.fingerprint(),
            "variants": self.variants,
            "flair": with_flair,
            "autoencoder": module_hash(codec.autoencoder),
            "multiple": codec.multiple,
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:24]

    def write(
        self, target: Path, datamodule: LatentSource, codec: AutoencoderCodec, with_flair: bool
    ) -> None:
        """Encode every variant of every item into ``target``, which appears whole."""
        partial = target.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        datasets = [datamodule.variant(index) for index in range(self.variants)]
        arrays = self.encode(partial, datasets, codec, with_flair)
        (partial / "cache.json").write_text(json.dumps({"arrays": sorted(arrays)}))
        partial.rename(target)

    def encode(
        self, folder: Path, datasets: list[Any], codec: AutoencoderCodec, with_flair: bool
    ) -> dict[str, np.memmap]:
        """Write the arrays of a cache and return them by name."""
        home = codec.mean.device
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        codec.to(device)
        total, row = sum(len(dataset) for dataset in datasets), 0
        arrays: dict[str, np.memmap] = {}
        for dataset in datasets:
            for batch in DataLoader(dataset, batch_size=self.batch_size):
                posterior = codec.moments(batch[keys.T1W].to(device))
                found = {MEAN: posterior.mean, SIGMA: posterior.sigma}
                if with_flair:
                    found[keys.FLAIR] = batch[keys.FLAIR]
                for name, values in found.items():
                    if name not in arrays:
                        arrays[name] = new_array(folder / f"{name}.npy", total, values)
                    arrays[name][row : row + len(values)] = values.cpu().numpy()
                row += len(batch[keys.T1W])
        codec.to(home)
        for array in arrays.values():
            array.flush()
        return arrays


def new_array(path: Path, length: int, like: Tensor) -> np.memmap:
    """Create a float16 array file (length, *like.shape[1:])."""
    shape = (length, *like.shape[1:])
    return np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)


def module_hash(module: nn.Module) -> str:
    """Return the SHA-256 of a module's weights, by name and value."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def stored_caches(folder: Path) -> list[tuple[Path, int]]:
    """Return finished and broken caches below a folder with their bytes, largest first."""
    found = [path for path in folder.glob("*") if path.is_dir()] if folder.is_dir() else []
    sizes = [(path, sum(file.stat().st_size for file in path.rglob("*"))) for path in found]
    return sorted(sizes, key=lambda pair: -pair[1])
