"""Latents encoded once and read for ever: memory-mapped, keyed by all that they depend on."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import torch
from filelock import FileLock
from torch import nn
from torch.utils.data import DataLoader, Dataset

from mrcontrast import keys
from mrcontrast.errors import MrcontrastError
from mrcontrast.latent.array_writer import ArrayWriter
from mrcontrast.latent.codec import AutoencoderCodec
from mrcontrast.latent.conditions import Condition
from mrcontrast.latent.dataset import LatentDataset
from mrcontrast.latent.stored_caches import (
    CARD,
    MEAN,
    PARTIAL,
    PRECISION,
    SIGMA,
    delete,
    fault_of,
    lock_path,
    mark_used,
)
from mrcontrast.storage.files import json_hash, write_json
from mrcontrast.storage.identity import UnidentifiedError, identity

log = logging.getLogger(__name__)

VERSION = 4
CODE = [  # modules that decide what is stored, but for those of the classes in ``facts``
    "mrcontrast.latent.conditions",
    "mrcontrast.data.augmentation",
    "mrcontrast.data.dataset",
    "mrcontrast.data.volume_store",
    "mrcontrast.latent.codec",
]


class LatentSource(Protocol):
    """What a data module must have so that latents can take the place of its images."""

    train_items: Any

    def variant(self, index: int) -> Any:  # noqa: ANN401 - a sized dataset
        """Return the training items under the ``index``-th augmentation; 0 is none."""

    def fingerprint(self) -> dict[str, Any]:
        """Return all that decides the items' voxels, as JSON.

        Raises:
            UnidentifiedError: Something that decides them cannot be known.
        """


class LatentStore:
    """Keeps the posterior mean and sigma of training items, so that no step encodes again.

    The folder's name is a hash of the data, the transforms, the autoencoder and their code: a cache
    that no longer fits is never found, and where something cannot be hashed nothing is stored. It
    is built aside, by one process while others wait, and renamed: half a cache is never read.
    Latents are float32, the same as encoded at each step; FLAIR is float16, off by at most 2.5e-4.

    Args:
        folder: Where caches lie, one folder each.
        variants: How many augmented versions of each item to store; the first has none.
        batch_size: Slices that are encoded together.
    """

    def __init__(self, folder: str, variants: int = 1, batch_size: int = 32) -> None:
        self.folder = Path(folder)
        self.variants = variants
        self.batch_size = batch_size

    def install(
        self, datamodule: LatentSource, codec: AutoencoderCodec, condition: Condition | None
    ) -> None:
        """Let the data module serve cached latents; build the cache where there is none yet.

        Args:
            datamodule: Its ``train_items`` are replaced.
            codec: The frozen autoencoder.
            condition: Keep what it can compute once beside the latents; None for stage 2.

        Raises:
            MrcontrastError: A latent is not finite, or the cache cannot be written.
        """
        try:
            facts = self.facts(datamodule, codec, condition)
        except UnidentifiedError as error:
            log.warning(
                "No latents are stored, each step encodes its images: what decides them holds %s, "
                "which has no hash.",
                error,
            )
            return
        target = self.folder / name_of(facts)
        if fault_of(target, facts) is not None:
            try:
                self.build(target, facts, datamodule, codec, condition)
            except OSError as error:
                raise MrcontrastError(
                    f"Expected a place for latents, got: {error.strerror or error} "
                    f"({self.folder}). Free some space or set MRCONTRAST_CACHE=<folder>."
                ) from error
        mark_used(target)
        datamodule.train_items = LatentDataset(target)
        log.info("Latents of %d training items: %s", len(datamodule.train_items), target)

    def key(
        self, datamodule: LatentSource, codec: AutoencoderCodec, condition: Condition | None
    ) -> str:
        """Return the name of the cache folder, 24 hexadecimal digits.

        Raises:
            UnidentifiedError: As ``facts``.
        """
        return name_of(self.facts(datamodule, codec, condition))

    def facts(
        self, datamodule: LatentSource, codec: AutoencoderCodec, condition: Condition | None
    ) -> dict[str, Any]:
        """Return all that decides what a cache holds, as JSON.

        Raises:
            UnidentifiedError: Something that does cannot be known.
        """
        return {
            "version": VERSION,
            "items": datamodule.fingerprint(),
            "variants": self.variants,
            "condition": None if condition is None else condition.key,
            "conditioned_by": identity(condition),
            "autoencoder": identity(codec.autoencoder),
            "standardised_by": identity([codec.mean, codec.std, codec.scale]),
            "multiple": codec.multiple,
            "tiling": identity(codec.tiling),
            "code": identity([type(datamodule), type(codec), *map(import_module, CODE)]),
        }

    def build(
        self,
        target: Path,
        facts: dict[str, Any],
        datamodule: LatentSource,
        codec: AutoencoderCodec,
        condition: Condition | None,
    ) -> None:
        """Encode all items into ``target``, which appears whole, unless another process did."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(lock_path(target)):
            fault = fault_of(target, facts)
            if fault is None:
                return
            if target.exists():
                log.warning("Latents in %s cannot be used: %s. Encoding again.", target, fault)
            log.info("Encoding the training items, once, into %s", target)
            partial = target.with_suffix(PARTIAL)
            for leftover in (partial, target):
                delete(leftover)
            partial.mkdir()
            try:
                arrays = self.encode(partial, datamodule, codec, condition)
                created = datetime.now(UTC).isoformat(timespec="seconds")
                write_json(partial / CARD, {"arrays": arrays, "created": created, "facts": facts})
                partial.rename(target)
            except BaseException:
                delete(partial)  # on a full disk it would hold all the space that is left
                raise

    def encode(
        self,
        folder: Path,
        datamodule: LatentSource,
        codec: AutoencoderCodec,
        condition: Condition | None,
    ) -> dict[str, list[int]]:
        """Write the arrays of a cache and return their shapes by name."""
        datasets = [datamodule.variant(index) for index in range(self.variants)]
        length = sum(len(dataset) for dataset in datasets)
        with (
            on_fastest_device(codec) as device,
            on_fastest_device(condition),
            ArrayWriter(folder, length, PRECISION) as writer,
        ):
            for batch in (batch for dataset in datasets for batch in self.batches(dataset)):
                images = {name: batch[name].to(device) for name in keys.CONTRASTS}
                posterior = codec.moments(images[keys.TARGET])
                found = {MEAN: posterior.mean, SIGMA: posterior.sigma}
                if condition is not None:
                    found[condition.key] = condition.compute(images, codec)  # type: ignore[arg-type]
                writer.append(found)
            return writer.finish()

    def batches(self, dataset: Dataset) -> DataLoader:
        """Load a dataset in order, volumes one at a time; torch's global generator rests."""
        volumes = dataset[0][keys.TARGET].ndim == 4
        return DataLoader(dataset, 1 if volumes else self.batch_size, generator=torch.Generator())


def name_of(facts: Mapping[str, Any]) -> str:
    """Return the name of the folder of a cache with these facts."""
    return json_hash(facts)[:24]


@contextmanager
def on_fastest_device(module: object) -> Iterator[torch.device]:
    """Lend a module to the CUDA device, if there is one, and bring it back.

    Anything else than a module has no place and is left alone.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not isinstance(module, nn.Module):
        yield device
        return
    home = next(module.parameters()).device
    device = device if device.type == "cuda" else home
    module.to(device)
    try:
        yield device
    finally:
        module.to(home)
