import pytest
import torch
from monai.transforms import RandAdjustContrastd, RandAffined, RandFlipd

from mrcontrast.data.augmentation import AugmentedDataset, FixedDraw
from mrcontrast.data.dataset import SliceDataset, VolumeDataset
from mrcontrast.data.record import Record
from mrcontrast.data.volume_store import open_store

IMAGES = ["source", "target", "brain_mask"]


def affine(shift: float = 3.0) -> RandAffined:
    modes = ["bilinear", "bilinear", "nearest"]
    return RandAffined(
        IMAGES, prob=1.0, translate_range=[shift] * 3, mode=modes, padding_mode="zeros"
    )


@pytest.fixture(scope="module", params=[2, 3])
def items(
    request: pytest.FixtureRequest,
    tiny_records: list[Record],
    tmp_path_factory: pytest.TempPathFactory,
) -> SliceDataset | VolumeDataset:
    store = open_store(tiny_records, tmp_path_factory.mktemp("store"), ["flair", "t1w"])
    subjects = [record.name for record in tiny_records]
    return SliceDataset(store, subjects) if request.param == 2 else VolumeDataset(store, subjects)


def test_flip_turns_left_and_right_of_all_images(items: SliceDataset | VolumeDataset) -> None:
    flip = RandFlipd(IMAGES, prob=1.0, spatial_axis=0)
    changed, original = AugmentedDataset(items, [flip])[1], items[1]
    for key in IMAGES:
        assert torch.equal(changed[key], original[key].flip(1))
        assert type(changed[key]) is torch.Tensor
    assert changed["subject"] == original["subject"]


def test_images_keep_geometry_range_and_zeros(items: SliceDataset | VolumeDataset) -> None:
    gamma = RandAdjustContrastd(["source", "target"], prob=1.0, gamma=[0.5, 0.6])
    torch.manual_seed(0)
    changed, original = AugmentedDataset(items, [affine(), gamma])[1], items[1]
    mask = changed["brain_mask"]
    assert not torch.equal(mask, original["brain_mask"])
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    assert changed["target"][mask == 0].abs().max() == 0
    for key in ("source", "target"):
        assert changed[key].min() >= 0
        assert changed[key].max() <= 1
    inside = (changed["source"] > 0.2).float()
    overlap = 2 * (inside * mask).sum() / (inside.sum() + mask.sum())
    assert overlap > 0.9  # FLAIR has moved with the mask


def test_global_seed_decides_the_draw(items: SliceDataset | VolumeDataset) -> None:
    augmented = AugmentedDataset(items, [affine()])
    draws = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        draws.append(augmented[2]["source"])
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_fixed_draw_repeats_and_leaves_the_generator(
    items: SliceDataset | VolumeDataset,
) -> None:
    drawn = AugmentedDataset(items, [affine()])
    state = torch.get_rng_state()
    first, again = FixedDraw(drawn, 1)[2], FixedDraw(drawn, 1)[2]
    assert torch.equal(first["source"], again["source"])
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(first["source"], FixedDraw(drawn, 2)[2]["source"])
    assert not torch.equal(first["source"], items[2]["source"])
