from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import DataLoader
from monai.transforms import Compose, LoadImaged, RandFlipd

from mrcontrast.data import as_monai
from mrcontrast.data.manifest import Manifest
from mrcontrast.errors import MrcontrastError
from mrcontrast.storage.volume import read_volume

KEYS = ["flair", "t2w", "t1w", "brain_mask"]


def test_monai_loads_and_transforms_what_was_prepared(three_contrasts_root: Path) -> None:
    load = LoadImaged(KEYS, ensure_channel_first=True)
    flip = RandFlipd(KEYS, prob=1.0, spatial_axis=0)
    data = as_monai(three_contrasts_root, "train", Compose([load, flip]))
    batch = next(iter(DataLoader(data, batch_size=3)))
    records = Manifest.read(three_contrasts_root).split("train")
    assert batch["subject"] == [record.subject for record in records]
    assert batch["tags"]["field_strength_t"].tolist() == [3.0] * 3
    for key in KEYS:
        assert batch[key].shape == (3, 1, 32, 40, 24)
        expected = read_volume(records[1].files[key]).data
        np.testing.assert_array_equal(torch.as_tensor(batch[key])[1, 0].flip(0), expected)


def test_each_session_has_its_files_and_facts(prepared_root: Path) -> None:
    items = as_monai(prepared_root, "test")
    assert [item["subject"] for item in items] == ["sub-05", "sub-06"]
    assert items[0]["session"] == ""
    assert items[0]["lesion_mask"].endswith("sub-05_label-lesion_mask.nii.gz")
    with pytest.raises(MrcontrastError, match="train, val or test"):
        as_monai(prepared_root, "holdout")
