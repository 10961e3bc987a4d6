from pathlib import Path

import numpy as np
import pytest

from mrcontrast import keys
from mrcontrast.data.augmentation import even_subset, fixed_items
from mrcontrast.data.datamodule import ContrastDataModule
from mrcontrast.data.dataset import ItemOptions


def make(root: Path) -> ContrastDataModule:
    items = ItemOptions(patch_size=[8, 8, 8])
    return ContrastDataModule(str(root), ["flair"], "t1w", 3, batch_size=4, items=items)


@pytest.mark.parametrize(("total", "count"), [(10, 4), (7, 7), (5, 9), (100, 1)])
def test_even_subset_is_spread_over_the_whole(total: int, count: int) -> None:
    chosen = list(even_subset(range(total), count).indices)
    assert len(chosen) == min(total, count)
    assert len(set(chosen)) == len(chosen)
    gaps = np.diff([-1, *chosen, total])
    assert gaps.max() <= total / len(chosen) + 1


@pytest.mark.parametrize("split", ["val", "test"])
def test_fixed_patches_lie_all_over_the_brain(prepared_root: Path, split: str) -> None:
    patches = make(prepared_root)
    items = patches.val_items if split == "val" else patches.test_dataloader().dataset
    found = [items[index]["target"] for index in range(len(items))]
    assert len(found) == 8 * len(patches.manifest.split(split))
    assert len({image.numpy().tobytes() for image in found}) == len(found)


def test_a_part_of_the_fixed_patches_has_patches_of_all_subjects(prepared_root: Path) -> None:
    patches = make(prepared_root)
    subjects = patches.dataset("train")
    part = even_subset(fixed_items(subjects), len(subjects) + 1)
    assert {int(item[keys.ITEM]) for item in part} == set(range(len(subjects)))
