"""The error that weighs the brain."""

import pytest
import torch

from mrcontrast.losses.brain import brain_error


@pytest.mark.parametrize("power", [1, 2])
def test_an_item_counts_as_the_root_of_its_brain(power):
    mask = torch.zeros(2, 1, 10, 10)
    mask[0, :, :5] = 1  # 50 voxels
    mask[1, :, :1, :2] = 1  # 2 voxels
    image, target = torch.zeros_like(mask), torch.zeros_like(mask)
    image[0] += 0.2 * mask[0]
    image[1] += 0.4 * mask[1]
    roots = torch.tensor([50.0, 2.0]).sqrt()
    means = torch.tensor([0.2, 0.4]).pow(power)
    expected = (means * roots).sum() / roots.sum()
    torch.testing.assert_close(brain_error(image, target, mask, power), expected)
    image += 0.3 * (1 - mask)
    torch.testing.assert_close(brain_error(image, target, mask, power), expected + 0.3**power)


def test_items_without_brain_or_background_are_finite():
    image = torch.rand(2, 1, 4, 4)
    for mask in (torch.zeros_like(image), torch.ones_like(image)):
        assert brain_error(image, 0 * image, mask).isfinite()
