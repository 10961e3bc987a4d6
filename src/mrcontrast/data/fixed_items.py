"""Items of a split that are the same in each validation, and the random patches of training."""

from torch.utils.data import Dataset, Subset

from mrcontrast.data.augmentation import FixedDraw
from mrcontrast.data.dataset import Item, RandomPatchDataset, SliceDataset, VolumeDataset

Items = SliceDataset | VolumeDataset
FIXED_PATCHES = 8  # of a subject: the middle alone, without cortex, is easier than a brain


def even_subset(items: Dataset[Item], count: int) -> Subset[Item]:
    """Return at most ``count`` items, evenly spaced; they keep their own item numbers."""
    total = len(items)  # type: ignore[arg-type]
    chosen = [(2 * step + 1) * total // (2 * count) for step in range(count)]
    return Subset(items, chosen if count < total else range(total))


def drawn_patches(items: Items) -> Items:
    """Return patches that are drawn at random for those around the middle; else the items."""
    if not isinstance(items, VolumeDataset) or items.patch_size is None:
        return items
    return RandomPatchDataset(items.store, items.subjects, items.patch_size)


def fixed_items(items: Items) -> Dataset[Item]:
    """Return fixed items that cover the brain: of patches, several of each subject."""
    drawn = drawn_patches(items)
    if drawn is items:
        return items
    each = range(len(drawn))
    order = [draw * len(drawn) + item for item in each for draw in range(FIXED_PATCHES)]
    return Subset(FixedDraw(drawn, variant=0), order)  # by subject: a part of it has all subjects
