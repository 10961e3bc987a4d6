"""Training items that are drawn at random, and those of a validation, which are fixed."""

import hashlib
from collections.abc import Callable, Iterator, Sequence

import torch
from monai.transforms import Compose
from torch import Tensor
from torch.utils.data import Dataset, Subset

from mrcontrast import keys
from mrcontrast.data.dataset import IMAGES, Item, RandomPatchDataset, SliceDataset, VolumeDataset


class AugmentedDataset(Dataset[Item]):
    """Another dataset's items after random MONAI transforms of source, target and brain_mask."""

    def __init__(self, items: Dataset[Item], transforms: Sequence[Callable]) -> None:
        self.items = items
        self.transform = Compose(list(transforms))

    def __len__(self) -> int:
        return len(self.items)  # type: ignore[arg-type]

    def __getitem__(self, item: int) -> Item:
        """Return an item, changed at random; images stay in [0, 1], the target 0 off the brain."""
        original = self.items[item]
        self.transform.set_random_state(int(torch.randint(2**31 - 1, ())))
        changed = self.transform({key: original[key] for key in IMAGES})
        source, target, mask = (torch.as_tensor(plain(changed[key])) for key in IMAGES)
        mask = (mask > 0.5).float()
        images = {
            keys.SOURCE: source.clamp(0, 1),
            keys.TARGET: target.clamp(0, 1) * mask,
            keys.BRAIN_MASK: mask,
        }
        return original | images


class OptionalDropout(Dataset[Item]):
    """Another dataset's items, in which sources drop out at random: channels and flag are 0.

    Args:
        items: With ``present``.
        rows: Places of the sources that may drop out.
        probability: Of all to drop out together, and else of each.
    """

    def __init__(self, items: Dataset[Item], rows: Sequence[int], probability: float) -> None:
        self.items = items
        self.rows = list(rows)
        self.probability = probability

    def __len__(self) -> int:
        return len(self.items)  # type: ignore[arg-type]

    def __getitem__(self, item: int) -> Item:
        """Return an item with fewer sources; absent channels are 0 whatever changed them."""
        original = self.items[item]
        present, source = original[keys.PRESENT].clone(), original[keys.SOURCE]
        together, *each = torch.rand(1 + len(self.rows)) >= self.probability
        present[self.rows] *= (together & torch.stack(each)).float()
        slabs = source.unflatten(0, (len(present), -1))
        kept = slabs * present.view(-1, *[1] * (slabs.ndim - 1))
        return original | {keys.SOURCE: kept.flatten(0, 1), keys.PRESENT: present}


class FixedDraw(Dataset[Item]):
    """Items that are drawn at random, frozen: variant and key alone decide the draw.

    Key ``n * len(items) + item`` is the ``n``-th draw of an item, in any process and any order.
    ``items`` draws from torch's global generator, which is left as it was.
    """

    def __init__(self, items: Dataset[Item], variant: int) -> None:
        self.items = items
        self.variant = variant

    def __len__(self) -> int:
        return len(self.items)  # type: ignore[arg-type]

    def __getitem__(self, key: int) -> Item:
        """Return the item of a key under its draw."""
        with torch.random.fork_rng(devices=[]):
            # torch.manual_seed would set the generators of CUDA devices as well.
            torch.default_generator.manual_seed(draw_seed(self.variant, key))
            return self.items[key % len(self)]

    def __iter__(self) -> Iterator[Item]:
        return (self[item] for item in range(len(self)))


def draw_seed(*names: str | int) -> int:
    """Return a 32-bit seed that names decide; torch's CPU generator looks at no more bits."""
    digest = hashlib.sha256(" ".join(map(str, names)).encode()).digest()
    return int.from_bytes(digest[:4], "big")


def plain(image: Tensor) -> Tensor:
    """Return a tensor without MONAI's metadata."""
    return image.as_tensor() if hasattr(image, "as_tensor") else image


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
    return RandomPatchDataset(items.store, items.subjects, items.patch_size, items.tags)


def fixed_items(items: Items) -> Dataset[Item]:
    """Return fixed items that cover the brain: of patches, several of each subject."""
    drawn = drawn_patches(items)
    if drawn is items:
        return items
    each = range(len(drawn))
    order = [draw * len(drawn) + item for item in each for draw in range(FIXED_PATCHES)]
    return Subset(FixedDraw(drawn, variant=0), order)  # by subject: a part of it has all subjects
