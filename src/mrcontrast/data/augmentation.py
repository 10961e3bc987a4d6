"""Random changes of training items."""

import hashlib
from collections.abc import Callable, Iterator, Sequence

import torch
from monai.transforms import Compose
from torch import Tensor
from torch.utils.data import Dataset

from mrcontrast import keys
from mrcontrast.data.dataset import IMAGES, Item


class AugmentedDataset(Dataset[Item]):
    """Another dataset's items after random transforms, with one draw of geometry for all images.

    Args:
        items: Dataset without augmentation.
        transforms: MONAI dictionary transforms over source, target and brain_mask.
    """

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
        probability: Of each that is there.
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
        present[self.rows] *= (torch.rand(len(self.rows)) >= self.probability).float()
        slabs = source.unflatten(0, (len(present), -1))
        kept = slabs * present.view(-1, *[1] * (slabs.ndim - 1))
        return original | {keys.SOURCE: kept.flatten(0, 1), keys.PRESENT: present}


class FixedDraw(Dataset[Item]):
    """Items that are drawn at random, frozen: variant and key alone decide the draw.

    Key ``n * len(items) + item`` is the ``n``-th draw of an item, in any process and any order.

    Args:
        items: Dataset that draws from torch's global generator, which is left as it was.
        variant: Number of a family of draws.
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
