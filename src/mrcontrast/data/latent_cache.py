"""Latents encoded once and read for ever: memory-mapped, keyed by all that they depend on."""

import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from mrcontrast import keys
from mrcontrast.data.stored_caches import (
    CARD,
    PARTIAL,
    array_path,
    lock_path,
    mark_used,
    read_card,
)
from mrcontrast.errors import MrcontrastError
from mrcontrast.latents import AutoencoderCodec
from mrcontrast.volume import write_json

log = logging.getLogger(__name__)

VERSION = 2
MEAN, SIGMA = "t1w_mean", "t1w_sigma"
# Half precision errs in proportion to a latent's distance from 0, which standardising multiplies
# by mean / std; FLAIR, larger and in [0, 1], comes from a store of half precision.
PRECISION = {MEAN: np.float32, SIGMA: np.float32, keys.FLAIR: np.float16}


class LatentSource(Protocol):
    """What a data module must have so that latents can take the place of its images."""

    train_items: Any

    def variant(self, index: int) -> Any:  # noqa: ANN401 - a sized dataset
        """Return the training items under the ``index``-th augmentation; 0 is none."""

    def fingerprint(self) -> dict[str, Any]:
        """Return all that decides the items' voxels, as JSON."""


class LatentDataset(Dataset):
    """Training items read from a finished cache folder, variant after variant.

    Each item has "t1w_mean" and "t1w_sigma", (C, *S / f), and "flair", (1 + 2k, *S), if cached;
    all are float32. It pickles to worker processes as a path: each maps the files for itself.

    Args:
        folder: A cache that ``LatentStore`` has built.

    Raises:
        MrcontrastError: The cache is not there or not whole.
    """

    def __init__(self, folder: Path) -> None:
        card = read_card(folder)
        if card is None:
            raise MrcontrastError(f"Expected a whole latent cache, got none ({folder}). Run again.")
        self.folder = folder
        self.arrays = {name: np.load(array_path(folder, name), "r") for name in card["arrays"]}

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


class LatentStore:
    """Keeps the posterior mean and sigma of training items, so that no step encodes again.

    The folder's name is a hash of the data, the transforms and the autoencoder: a cache that no
    longer fits is never found. It is built aside, by one process while others wait, and renamed:
    half a cache is never read. Latents are float32, the same as encoded at each step; FLAIR is
    float16, off by at most 2.5e-4.

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

        Raises:
            MrcontrastError: A latent is not finite, or the cache cannot be written.
        """
        target = self.folder / self.key(datamodule, codec, with_flair)
        if read_card(target) is None:
            try:
                self.build(target, datamodule, codec, with_flair)
            except OSError as error:
                raise MrcontrastError(
                    f"Expected a place for latents, got: {error.strerror or error} "
                    f"({self.folder}). Free some space or set MRCONTRAST_CACHE=<folder>."
                ) from error
        mark_used(target)
        datamodule.train_items = LatentDataset(target)
        log.info("Latents of %d training items: %s", len(datamodule.train_items), target)

    def key(self, datamodule: LatentSource, codec: AutoencoderCodec, with_flair: bool) -> str:
        """Return the name of the cache folder, 24 hexadecimal digits."""
        facts = self.facts(datamodule, codec, with_flair)
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:24]

    def facts(
        self, datamodule: LatentSource, codec: AutoencoderCodec, with_flair: bool
    ) -> dict[str, Any]:
        """Return all that decides what a cache holds, as JSON."""
        return {
            "version": VERSION,
            "items": datamodule.fingerprint(),
            "variants": self.variants,
            "flair": with_flair,
            "autoencoder": module_hash(codec.autoencoder),
            "multiple": codec.multiple,
        }

    def build(
        self, target: Path, datamodule: LatentSource, codec: AutoencoderCodec, with_flair: bool
    ) -> None:
        """Encode all items into ``target``, which appears whole, unless another process did."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(lock_path(target)):
            if read_card(target) is not None:
                return
            log.info("Encoding the training items, once, into %s", target)
            partial = target.with_suffix(PARTIAL)
            for leftover in (partial, target):
                shutil.rmtree(leftover, ignore_errors=True)
            partial.mkdir()
            arrays = self.encode(partial, datamodule, codec, with_flair)
            facts = self.facts(datamodule, codec, with_flair)
            created = datetime.now(UTC).isoformat(timespec="seconds")
            write_json(partial / CARD, {"arrays": arrays, "created": created, "facts": facts})
            partial.rename(target)

    def encode(
        self, folder: Path, datamodule: LatentSource, codec: AutoencoderCodec, with_flair: bool
    ) -> dict[str, list[int]]:
        """Write the arrays of a cache and return their shapes by name."""
        datasets = [datamodule.variant(index) for index in range(self.variants)]
        writer = ArrayWriter(folder, length=sum(len(dataset) for dataset in datasets))
        with on_fastest_device(codec) as device:
            for batch in (batch for dataset in datasets for batch in self.batches(dataset)):
                posterior = codec.moments(batch[keys.T1W].to(device))
                found = {MEAN: posterior.mean, SIGMA: posterior.sigma}
                writer.append(found | ({keys.FLAIR: batch[keys.FLAIR]} if with_flair else {}))
        return writer.finish()

    def batches(self, dataset: Dataset) -> DataLoader:
        """Load a dataset in order; torch's global generator, which training draws from, rests."""
        return DataLoader(dataset, self.batch_size, generator=torch.Generator())


class ArrayWriter:
    """Fills the array files of one cache from top to bottom.

    Args:
        folder: Where the files go.
        length: Items in all.
    """

    def __init__(self, folder: Path, length: int) -> None:
        self.folder = folder
        self.length = length
        self.row = 0
        self.arrays: dict[str, np.memmap] = {}

    def append(self, values: Mapping[str, Tensor]) -> None:
        """Write the next items, each tensor (B, ...).

        Raises:
            MrcontrastError: A value is not finite.
            OSError: They will not fit on the disk.
        """
        if not self.arrays:
            self.allocate(values)
        size = len(values[MEAN])
        for name, value in values.items():
            if not bool(torch.isfinite(value).all()):
                raise MrcontrastError(
                    f"Expected finite values of {name}, got NaN or infinity (training items "
                    f"{self.row} to {self.row + size - 1}). Train the autoencoder again."
                )
            self.arrays[name][self.row : self.row + size] = value.cpu().numpy()
        self.row += size

    def allocate(self, values: Mapping[str, Tensor]) -> None:
        """Create the files; a map of a file that outgrows the disk would kill the process."""
        shapes = {name: (self.length, *value.shape[1:]) for name, value in values.items()}
        sizes = [np.prod(shapes[name]) * np.dtype(PRECISION[name]).itemsize for name in shapes]
        free, wanted = shutil.disk_usage(self.folder).free, int(sum(sizes))
        if wanted > free:
            raise OSError(f"{free / 1e9:.1f} GB free where {wanted / 1e9:.1f} GB are needed")
        for name, shape in shapes.items():
            path, dtype = array_path(self.folder, name), PRECISION[name]
            self.arrays[name] = np.lib.format.open_memmap(path, "w+", dtype=dtype, shape=shape)

    def finish(self) -> dict[str, list[int]]:
        """Bring everything to the disk and return the shapes by name."""
        for array in self.arrays.values():
            array.flush()
        return {name: list(array.shape) for name, array in self.arrays.items()}


@contextmanager
def on_fastest_device(module: nn.Module) -> Iterator[torch.device]:
    """Lend a module to the CUDA device, if there is one, and bring it back."""
    home = next(module.parameters()).device
    device = torch.device("cuda") if torch.cuda.is_available() else home
    module.to(device)
    try:
        yield device
    finally:
        module.to(home)


def module_hash(module: nn.Module) -> str:
    """Return the SHA-256 of a module's layers and their settings, and of its weights."""
    digest = hashlib.sha256(repr(module).encode())
    for name, value in sorted(module.state_dict().items()):
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
