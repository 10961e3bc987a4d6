"""Prepared subjects as training items: axial slices, or volumes and patches of them.

An item is a ``mrcontrast.keys.Batch`` without its first axis, the same for the same index; but
``RandomPatchDataset`` draws from torch's global generator, which ``augmentation.FixedDraw`` seeds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from mrcontrast import keys
from mrcontrast.data.volume_store import VolumeStore
from mrcontrast.errors import UsageError

Item = dict[str, Any]
IMAGES = (keys.SOURCE, keys.TARGET, keys.BRAIN_MASK)


@dataclass(frozen=True)
class ItemOptions:
    """What is cut out of a volume, and how much of it a validation looks at.

    ``patch_size`` is that of a random patch centred in the brain, in voxels; None takes whole
    volumes.
    """

    min_brain_fraction: float = 0.005  # of an axial slice that brain must fill, in [0, 1]; 2D only
    patch_size: Sequence[int] | None = None  # 3D only
    max_val_items: int = 64  # evenly spaced over the split

    def __post_init__(self) -> None:
        if not 0 <= self.min_brain_fraction <= 1:
            got = self.min_brain_fraction
            raise UsageError(f"Expected min_brain_fraction in [0, 1], got {got}.")
        if self.max_val_items < 1:
            raise UsageError(f"Expected max_val_items of 1 or more, got {self.max_val_items}.")

    def check(self, spatial_dims: int, context_slices: int) -> None:
        """Raise UsageError for options of the other number of dimensions."""
        if spatial_dims not in (2, 3):
            raise UsageError(f"Expected spatial_dims 2 or 3, got {spatial_dims}.")
        if spatial_dims == 3 and context_slices:
            raise UsageError(
                f"Expected context_slices 0 in 3D, got {context_slices}. "
                "Volumes carry their neighbours already."
            )
        if spatial_dims == 2 and self.patch_size is not None:
            raise UsageError(
                f"Expected patch_size null in 2D, got {list(self.patch_size)}. "
                "Slices are taken whole."
            )


class StoredItems(Dataset[Item]):
    """Items that are cut out of the volumes of a store, with the names and tags of their subjects.

    ``tags`` are the known tags of each volume; None: nothing is known.
    """

    def __init__(
        self,
        store: VolumeStore,
        subjects: list[str],
        tags: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        self.store, self.subjects = store, subjects
        self.tags = tags or [{}] * len(store)

    def record_of(self, item: int) -> int:
        """Return the record that an item is cut out of."""
        return item

    def tags_of(self, item: int) -> Mapping[str, Any]:
        """Return the known tags of an item."""
        return self.tags[self.record_of(item)]

    def labelled(self, images: Item, item: int) -> Item:
        """Add subject, number and tags, and which sources are there, (N,), if some may not be."""
        record, present = self.record_of(item), self.store.present
        facts: Item = {keys.SUBJECT: self.subjects[record], keys.ITEM: item}
        facts[keys.TAGS] = self.tags[record]
        if present is not None:
            facts[keys.PRESENT] = torch.tensor(present[record])
        return images | facts


class SliceDataset(StoredItems):
    """Axial slices with enough brain, over all subjects, from bottom to top; see ``StoredItems``.

    Args:
        store: Volumes; likewise ``subjects`` and ``tags``.
        context_slices: Neighbours on each side that each source carries as channels; beyond the
            ends of the field of view the last slice is repeated.
        min_brain_fraction: Part of the slice that brain must fill, in [0, 1].
        scanned: First and last slice in the field of view of each volume; None: all of them.
    """

    def __init__(
        self,
        store: VolumeStore,
        subjects: list[str],
        context_slices: int = 0,
        min_brain_fraction: float = 0.05,
        scanned: Sequence[tuple[int, int] | None] | None = None,
        tags: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        super().__init__(store, subjects, tags)
        self.scanned = scanned or [None] * len(store)
        self.context_slices = context_slices
        self.index: list[tuple[int, int]] = []
        for record in range(len(store)):
            _, _, x, y = store.slices(record).shape
            area = store.brain_area(record)
            found = np.flatnonzero((area >= min_brain_fraction * x * y) & (area > 0))
            self.index += [(record, int(z)) for z in found]

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, item: int) -> Item:
        """Return one slice: N sources (N * (1 + 2k), X, Y), target and brain mask (1, X, Y)."""
        record, z = self.index[item]
        slices, k = self.store.slices(record), self.context_slices
        images = images_of(torch.from_numpy(slices[z]).float())
        if k:
            first, last = self.scanned[record] or (0, len(slices) - 1)
            steps = range(-k, k + 1)
            neighbours = [min(max(z + step, first), last) if step else z for step in steps]
            stacks = [slices[neighbours, channel] for channel in range(len(images[keys.SOURCE]))]
            images[keys.SOURCE] = torch.from_numpy(np.concatenate(stacks)).float()
        return self.labelled(images, item)

    def record_of(self, item: int) -> int:
        """Return the record that a slice is cut out of."""
        return self.index[item][0]


class VolumeDataset(StoredItems):
    """One item for each subject: the whole volume, or the patch around the brain's middle.

    ``patch_size`` is in voxels; None takes the whole volume, and a larger one raises UsageError.
    """

    def __init__(
        self,
        store: VolumeStore,
        subjects: list[str],
        patch_size: Sequence[int] | None = None,
        tags: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        super().__init__(store, subjects, tags)
        self.patch_size = None if patch_size is None else tuple(patch_size)
        for record, subject in enumerate(subjects):
            shape = store[record].shape[1:]
            if self.patch_size is not None and (
                len(self.patch_size) != len(shape)
                or any(not 0 < n <= whole for n, whole in zip(self.patch_size, shape, strict=True))
            ):
                raise UsageError(
                    f"Expected patch_size within {tuple(shape)}, got {self.patch_size} ({subject})."
                    " Make data.items.patch_size smaller, or null."
                )

    def __len__(self) -> int:
        return len(self.store)

    def __getitem__(self, item: int) -> Item:
        """Return one volume or patch: N sources (N, *S), target and brain mask (1, *S)."""
        volume = self.store[item]
        if self.patch_size is not None:
            patch = window(self.centre(item), self.patch_size, volume.shape[1:])
            volume = volume[(slice(None), *patch)]
        images = images_of(torch.from_numpy(volume).float().contiguous())
        return self.labelled(images, item)

    def centre(self, item: int) -> tuple[int, ...]:
        """Return the middle of the brain's bounding box, in voxels."""
        brain = self.store[item][-1] > 0
        spans = [np.flatnonzero(brain.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
        return tuple(int(span[0] + span[-1]) // 2 for span in spans)


class RandomPatchDataset(VolumeDataset):
    """One patch for each subject and draw, centred on any brain voxel with equal chance."""

    def centre(self, item: int) -> tuple[int, ...]:
        """Draw a brain voxel: first its slice, by area, then its place in it."""
        area = torch.from_numpy(self.store.brain_area(item)).double()
        z = int(torch.multinomial(area, 1))
        inside = np.argwhere(self.store[item][-1, :, :, z] > 0)
        x, y = inside[int(torch.randint(len(inside), ()))]
        return int(x), int(y), z


class TaggedDataset(Dataset[Item]):
    """Cached items, variant after variant, with the tags of the plain items they were made from."""

    def __init__(self, cached: Any, plain: SliceDataset | VolumeDataset) -> None:  # noqa: ANN401
        self.cached, self.plain = cached, plain

    def __len__(self) -> int:
        return len(self.cached)

    def __getitem__(self, item: int) -> Item:
        return self.cached[item] | {keys.TAGS: self.plain.tags_of(item % len(self.plain))}


def images_of(channels: Tensor) -> Item:
    """Split the channels of a store (N + 2, *S): sources, target and brain mask.

    >>> [len(image) for image in images_of(torch.zeros(5, 4, 4)).values()]
    [3, 1, 1]
    """
    return dict(zip(IMAGES, channels.split([len(channels) - 2, 1, 1]), strict=True))


def collate(items: Sequence[Mapping[str, Any]]) -> keys.Batch:
    """Stack tensors, list names, and gather item numbers as (B,) int64."""
    batch: dict[str, Any] = {}
    for key, first in items[0].items():
        values = [item[key] for item in items]
        batch[key] = torch.stack(values) if isinstance(first, Tensor) else values
    if keys.ITEM in batch:
        batch[keys.ITEM] = torch.tensor(batch[keys.ITEM])
    return batch  # type: ignore[return-value]


def window(centre: Sequence[int], size: Sequence[int], shape: Sequence[int]) -> tuple[slice, ...]:
    """Return the slices of a patch around ``centre``, moved so that it stays in the volume.

    >>> window((1, 9), (4, 4), (10, 10))
    (slice(0, 4, None), slice(6, 10, None))
    """
    starts = [
        min(max(middle - extent // 2, 0), whole - extent)
        for middle, extent, whole in zip(centre, size, shape, strict=True)
    ]
    return tuple(slice(start, start + extent) for start, extent in zip(starts, size, strict=True))
