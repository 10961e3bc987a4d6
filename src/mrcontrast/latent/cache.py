"""Latents encoded once and memory-mapped, under a hash of all that decides them."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from mrcontrast import keys
from mrcontrast.data.datamodule import ContrastDataModule
from mrcontrast.data.dataset import collate
from mrcontrast.errors import MrcontrastError
from mrcontrast.latent.array_writer import ArrayWriter
from mrcontrast.latent.codec import AutoencoderCodec
from mrcontrast.latent.conditions import Condition
from mrcontrast.latent.signals import Signal
from mrcontrast.latent.stored_caches import (
    CARD,
    MEAN,
    SIGMA,
    UnusableError,
    fault_of,
    lock_path,
    mark_used,
    read_card,
    renamed_at_end,
)
from mrcontrast.storage.files import json_hash, write_json
from mrcontrast.storage.identity import UnidentifiedError, identity

log = logging.getLogger(__name__)

VERSION = 5
CODE = [  # modules that decide the stored values, besides those of the classes in ``facts``
    "mrcontrast.latent.signals",
    "mrcontrast.data.augmentation",
    "mrcontrast.data.dataset",
    "mrcontrast.data.volume_store",
    "mrcontrast.latent.codec",
]


class LatentStore:
    """Posterior mean and sigma of training items, and signals, so that no step encodes again.

    Each signal of a condition has a cache of its own, and so has the posterior: stages 2 and 3
    share it. A cache is a folder named by a hash of the data, the transforms, the autoencoder and
    their code. One that no longer fits is never found, and where something cannot be hashed nothing
    is stored. It is built under another name, by one process while others wait, and renamed, so
    that half a cache is never read. Latents are float32, the same as encoded at each step; images
    are float16, off by at most 2.5e-4.

    Args:
        folder: Parent of the cache folders.
        variants: Number of versions of each item to store; the first has no augmentation.
        batch_size: Slices that are encoded together.
    """

    def __init__(self, folder: str, variants: int = 1, batch_size: int = 32) -> None:
        self.folder, self.variants, self.batch_size = Path(folder), variants, batch_size

    def install(
        self, datamodule: ContrastDataModule, codec: AutoencoderCodec, condition: Condition | None
    ) -> None:
        """Let a data module serve cached latents and signals; build the caches that are missing.

        MrcontrastError: a latent is not finite, or a cache cannot be written.
        """
        signals = [] if condition is None else list(condition.signals.values())
        try:
            facts = {each: self.facts(datamodule, codec, each) for each in (None, *signals)}
        except UnidentifiedError as error:
            log.warning(
                "No latents are stored, each step encodes its images: what decides them holds %s, "
                "which has no hash.",
                error,
            )
            return
        folders = []
        for signal, known in facts.items():
            target = self.folder / name_of(known)
            if fault_of(target, known) is not None:
                self.build(target, known, datamodule, codec, signal)
            mark_used(target)
            folders.append(target)
        datamodule.train_items = cached = LatentDataset(folders)
        names = ", ".join(folder.name for folder in folders)
        log.info("Latents of %d training items: %s in %s", len(cached), names, self.folder)

    def facts(
        self, datamodule: ContrastDataModule, codec: AutoencoderCodec, signal: Signal | None = None
    ) -> dict[str, Any]:
        """Return all that decides the content of the cache of a signal, or of the posterior.

        UnidentifiedError: something that decides it cannot be known.
        """
        facts = {
            "version": VERSION,
            "items": datamodule.fingerprint(),
            "variants": self.variants,
            "signal": None if signal is None else signal.key,
            "computed_by": identity(signal),
            "code": identity([type(datamodule), type(codec), *map(import_module, CODE)]),
        }
        if signal is not None and signal.regressor is not None and signal.regressor.prompt:
            facts["tags"] = json_hash(datamodule.train_tags)
        if signal is not None and not signal.at_latent_size:
            return facts
        return facts | {
            "autoencoder": identity(codec.autoencoder),
            "standardised_by": identity([codec.mean, codec.std, codec.scale]),
            "multiple": codec.multiple,
            "tiling": identity(codec.tiling),
        }

    def build(
        self,
        target: Path,
        facts: dict[str, Any],
        datamodule: ContrastDataModule,
        codec: AutoencoderCodec,
        signal: Signal | None,
    ) -> None:
        """Compute all items into ``target``, whole, unless another process has."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(lock_path(target)):
                fault = fault_of(target, facts)
                if fault is None:
                    return
                if target.exists():
                    log.warning("Latents in %s cannot be used: %s. Encoding again.", target, fault)
                kind = "latents" if signal is None else signal.key
                log.info("Encoding %s of the training items, once, into %s", kind, target)
                with renamed_at_end(target) as partial:
                    arrays = self.encode(partial, datamodule, codec, signal)
                    created = datetime.now(UTC).isoformat(timespec="seconds")
                    card = {"arrays": arrays, "created": created, "facts": facts}
                    write_json(partial / CARD, card)
        except OSError as error:
            raise MrcontrastError(
                f"Expected a place for latents, got: {error.strerror or error} "
                f"({self.folder}). Free some space or set MRCONTRAST_CACHE=<folder>."
            ) from error

    def encode(
        self,
        folder: Path,
        datamodule: ContrastDataModule,
        codec: AutoencoderCodec,
        signal: Signal | None,
    ) -> dict[str, list[int]]:
        """Write the arrays of a cache and return their shapes by name."""
        datasets: list[Any] = [datamodule.variant(index) for index in range(self.variants)]
        length = sum(map(len, datasets))
        with (
            on_fastest_device(codec) as device,
            on_fastest_device(None if signal is None else signal.regressor),
            ArrayWriter(folder, length) as writer,
        ):
            for batch in (batch for dataset in datasets for batch in self.batches(dataset)):
                names = [each for each in (keys.SOURCE, keys.TARGET, keys.PRESENT) if each in batch]
                images = {name: batch[name].to(device) for name in names}
                known = {keys.TAGS: batch[keys.TAGS]} if keys.TAGS in batch else {}
                writer.append(values_of(images | known, codec, signal))  # type: ignore[arg-type]
            return writer.finish()

    def batches(self, dataset: Dataset) -> DataLoader:
        """Load a dataset in order, volumes one at a time; torch's global generator rests."""
        volumes = dataset[0][keys.TARGET].ndim == 4
        size, rest = 1 if volumes else self.batch_size, torch.Generator()
        return DataLoader(dataset, size, generator=rest, collate_fn=collate)


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


def values_of(
    batch: keys.Batch, codec: AutoencoderCodec, signal: Signal | None
) -> dict[str, Tensor]:
    """Return the arrays of a signal and its sources, or the raw posterior of the target."""
    if signal is not None:
        present = {keys.PRESENT: batch["present"]} if keys.PRESENT in batch else {}
        return {signal.key: signal.compute(batch, codec), **present}
    posterior = codec.moments(batch["target"])
    return {MEAN: posterior.mean, SIGMA: posterior.sigma}


def name_of(facts: Mapping[str, Any]) -> str:
    """Return the name of the folder of a cache with these facts, 24 hexadecimal digits."""
    return json_hash(facts)[:24]


@contextmanager
def on_fastest_device(module: nn.Module | None) -> Iterator[torch.device]:
    """Move a module, if there is one, to the CUDA device, if there is one, and back."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if module is None:
        yield device
        return
    home = next(module.parameters()).device
    device = device if device.type == "cuda" else home
    module.to(device)
    try:
        yield device
    finally:
        module.to(home)
