"""Items of a split that are the same in each validation, and the random patches of training."""

from collections.abc import Iterator

from torch.utils.data import Dataset, Subset

from mrcontrast.data.augmentation import FixedDraw
from mrcontrast.data.dataset import Item, RandomPatchDataset, SliceDataset, VolumeDataset

Items = SliceDataset | VolumeDataset
FIXED_PATCHES = 8  # of a subject: the middle alone, without cortex, is easier than a brain


class EvenSubset(Dataset[Item]):
    """At most ``count`` items of a dataset, evenly spaced; they keep their own item numbers."""

    def __init__(self, items: Dataset[Item], count: int) -> None:
        self.items = items
        total = len(items)  # type: ignore[arg-type]
        self.chosen = [(2 * step + 1) * total // (2 * count) for step in range(count)]
        if count >= total:
            self.chosen = list(range(total))

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, index: int) -> Item:
        """Return chosen item ``index``."""
        return self.items[self.chosen[index]]

    def __iter__(self) -> Iterator[Item]:
        return (self[index] for index in range(len(self)))


def drawn_patches(items: Items) -> Items:
    """Return patches that are drawn at random for those around the middle; else the items."""
    if not isinstance(items, VolumeDataset) or items.patch_size is None:
        return items
    return RandomPatchDataset(items.store, items.subjects, items.patch_size, items.tags)


def fixed_items(items: Items) -> Dataset[Item]:
    """Return fixed items that cover the brain: of patches, several of each subject."""
    drawn = drawn_patches(items)
    if drawn is items:
        return items
    each = range(len(drawn))
    order = [draw * len(drawn) + item for item in each for draw in range(FIXED_PATCHES)]
    return Subset(FixedDraw(drawn, variant=0), order)  # by subject: a part of it has all subjects
