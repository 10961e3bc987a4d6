"""Prepared data sets in front of a trainer."""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from lightning import LightningDataModule
from torch.utils.data import DataLoader, Dataset, Subset

from mrcontrast import keys
from mrcontrast.data.augmentation import (
    AugmentedDataset,
    FixedDraw,
    Items,
    OptionalDropout,
    drawn_patches,
    even_subset,
    fixed_items,
)
from mrcontrast.data.contrasts import check_roles
from mrcontrast.data.dataset import (
    Item,
    ItemOptions,
    SliceDataset,
    TaggedDataset,
    VolumeDataset,
    collate,
)
from mrcontrast.data.epoch_order import EpochOrder, LateLoader
from mrcontrast.data.manifest import Manifest
from mrcontrast.data.volume_store import open_store, record_key, store_folder
from mrcontrast.errors import MrcontrastError
from mrcontrast.storage.identity import UnidentifiedError, hashed, identity

log = logging.getLogger(__name__)


class ContrastDataModule(LightningDataModule):
    """Sources and target as slices, volumes or patches, split by subject.

    The data set is read when it is first needed, so that a config builds without it. Seed, epoch
    and item decide the order of training items and their random changes, whatever loads them.
    Options that contradict one another are UsageError.

    Args:
        root: Folder of a prepared data set.
        source: Contrasts that a model is given, in the order of the batch's channels.
        target: Contrast that it makes.
        spatial_dims: 2 for axial slices, 3 for volumes or patches.
        batch_size: Items a step.
        num_workers: Processes that load items; 0 loads in the training process.
        context_slices: Neighbouring slices on each side, as channels of each source; 2D only.
        items: What is cut out of a volume.
        augmentation: MONAI dictionary transforms for training items, or None.
        seed: Of the order of training items and of their draws.
        optional: Sources that a session may lack.
        optional_dropout: Probability that all optional sources drop out of a training item, and
            else of each to do so.
    """

    def __init__(  # noqa: PLR0913 - the keys of the config
        self,
        root: str,
        source: Sequence[str],
        target: str,
        spatial_dims: int,
        batch_size: int,
        num_workers: int = 0,
        context_slices: int = 0,
        items: ItemOptions | None = None,
        augmentation: Mapping[str, Callable] | Sequence[Callable] | None = None,
        seed: int = 0,
        optional: Sequence[str] = (),
        optional_dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.root, self.seed = Path(root), seed
        self.spatial_dims, self.context_slices = spatial_dims, context_slices
        self.batch_size, self.num_workers = batch_size, num_workers
        self.source, self.target = tuple(source), target
        self.contrasts = (*self.source, target)  # in the order of the store's channels
        self.items = items or ItemOptions()
        self.augmentation: tuple[Callable, ...] = tuple(
            augmentation.values() if isinstance(augmentation, Mapping) else augmentation or ()
        )
        try:  # before their first use
            self.augmentation_identity: Any = identity(list(self.augmentation))
        except UnidentifiedError as error:
            self.augmentation_identity = error
        self.replacement: Dataset[Item] | None = None
        self.optional, self.optional_dropout = tuple(optional), optional_dropout
        check_roles(self.source, target, self.optional, optional_dropout)
        self.items.check(spatial_dims, context_slices)

    @cached_property
    def manifest(self) -> Manifest:
        """The manifest of the data set."""
        return Manifest.read(self.root)

    @property
    def train_tags(self) -> list[dict[str, Any]]:
        """Known tags of each training session."""
        return [record.known for record in self.manifest.split("train")]

    @property
    def val_is_train(self) -> bool:
        """Whether there is no validation subject, so that training subjects stand in."""
        return not self.manifest.split("val")

    @cached_property
    def plain_items(self) -> Items:
        """Items of the training subjects without augmentation, the same at each look."""
        return self.dataset("train")

    @property
    def train_items(self) -> Dataset[Item]:
        """``plain_items``, or what was assigned: cached latents, which are served as they are."""
        return self.plain_items if self.replacement is None else self.replacement

    @train_items.setter
    def train_items(self, items: Dataset[Item]) -> None:
        self.replacement = items

    @property
    def drawn_items(self) -> Dataset[Item]:
        """Training items as a trainer sees them: random patches, augmented."""
        drawn: Dataset[Item] = drawn_patches(self.plain_items)
        drawn = AugmentedDataset(drawn, self.augmentation) if self.augmentation else drawn
        return self.dropped(drawn) if self.optional else drawn

    def dropped(self, items: Dataset[Item]) -> Dataset[Item]:
        """Return items from which optional sources drop out."""
        rows = keys.optional_rows(self.source, self.optional)
        return OptionalDropout(items, rows, self.optional_dropout)

    def variant(self, index: int) -> Dataset[Item]:
        """Return training items under the ``index``-th fixed draw; 0 has no augmentation."""
        if index:
            return FixedDraw(self.drawn_items, index)
        return FixedDraw(self.dropped(self.plain_items), 0) if self.optional else self.plain_items

    def fingerprint(self) -> dict[str, Any]:
        """Return all that decides the voxels of training items, or raise UnidentifiedError."""
        if isinstance(self.augmentation_identity, UnidentifiedError):
            raise self.augmentation_identity
        train, size = self.manifest.split("train"), self.items.patch_size
        stored = (record_key(record, self.contrasts, self.optional) for record in train)
        scanned = [record.scanned_slices for record in self.manifest.records]
        dropout = {"optional": list(self.optional), "optional_dropout": self.optional_dropout}
        return {
            "store": hashed(*stored),
            "data": self.manifest.data_hash,
            **({"scanned_slices": scanned} if self.context_slices and any(scanned) else {}),
            "split": self.manifest.split_hash,
            "source": list(self.source),
            "target": self.target,
            **(dropout if self.optional else {}),
            "spatial_dims": self.spatial_dims,
            "context_slices": self.context_slices,
            "min_brain_fraction": self.items.min_brain_fraction,
            "patch_size": None if size is None else list(size),
            "augmentation": self.augmentation_identity,
        }

    @cached_property
    def val_items(self) -> Subset[Item]:
        """The fixed items of each validation, without augmentation."""
        if self.val_is_train:
            log.warning(
                "No validation subject in %s: validating on training subjects, so val/ figures "
                "measure memory, not generalisation.",
                self.root,
            )
        items = self.plain_items if self.val_is_train else self.dataset("val")
        return even_subset(fixed_items(items), self.items.max_val_items)

    def prepare_data(self) -> None:
        """Make the memory-mapped store, in one process."""
        open_store(self.manifest.records, store_folder(self.root), self.contrasts, self.optional)

    def train_dataloader(self) -> DataLoader:
        """Load shuffled training items; an incomplete last batch is dropped if it is not all.

        In a training the batches go on after those it has seen, and its processes share them; else
        they are its first ones.
        """
        cached, trainer = self.replacement, self.trainer
        items = self.drawn_items if cached is None else TaggedDataset(cached, self.plain_items)
        processes = (1, 0)
        if trainer is not None and trainer.training:
            processes = (trainer.world_size, trainer.global_rank)
        order = EpochOrder(items, self.batch_size, self.seed, self.batches_seen, *processes)
        draws = FixedDraw(items, self.seed)
        return self.loader(draws, sampler=order, drop_last=order.drop_last_batch)

    def batches_seen(self) -> int:
        """Return how many batches the training under way has seen, 0 if there is none."""
        if self.trainer is None or not self.trainer.training:
            return 0
        progress: Any = self.trainer.fit_loop.epoch_loop.batch_progress.total
        return int(progress.processed)

    def val_dataloader(self) -> DataLoader:
        """Load ``val_items`` in order."""
        return self.loader(self.val_items)

    def test_dataloader(self) -> DataLoader:
        """Load the items of the test subjects in order, without augmentation."""
        return self.loader(fixed_items(self.dataset("test")))

    def dataset(self, split: str) -> Items:
        """Cut one split into slices, volumes or patches; MrcontrastError if there is none."""
        records = self.manifest.split(split)
        store = open_store(records, store_folder(self.root), self.contrasts, self.optional)
        subjects, tags = [record.name for record in records], [record.known for record in records]
        if self.spatial_dims == 3:
            items: Items = VolumeDataset(store, subjects, self.items.patch_size, tags)
        else:
            least = self.items.min_brain_fraction
            scanned = [record.scanned_slices for record in records]
            items = SliceDataset(store, subjects, self.context_slices, least, scanned, tags)
        if not len(items):
            raise MrcontrastError(
                f"Expected {split} items, got none of {len(records)} subjects ({self.root}). "
                "Lower data.items.min_brain_fraction or add subjects."
            )
        return items

    def loader(self, items: Dataset[Item], **options: Any) -> DataLoader:  # noqa: ANN401
        """Build a loader with the settings that all splits share."""
        return LateLoader(
            items,
            batch_size=self.batch_size,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
            collate_fn=collate,
            generator=torch.Generator(),  # the global one, which training draws from, rests
            **options,
        )
