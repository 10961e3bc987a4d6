"""ResNets with medical weights from a local file: RadImageNet in 2D, MedicalNet in 3D."""

import re
from collections.abc import Mapping
from pathlib import Path

from monai.networks.nets import resnet10, resnet18, resnet50
from torch import Tensor, nn

from mrcontrast.networks.features.weights import check_file, load_into, read_weights

BUILDERS = {10: (resnet10, 512), 18: (resnet18, 512), 50: (resnet50, 2048)}
STEM = ("conv1", "bn1", "act", "maxpool")
STAGES = ("layer1", "layer2", "layer3", "layer4")
# torchvision's children by their place in a Sequential, as RadImageNet stores them.
PLACES = {"0": "conv1", "1": "bn1", **{str(4 + n): f"layer{1 + n}" for n in range(4)}}


class ResNetFeatures(nn.Module):
    """Features of images (N, C, *S) in [0, 1]: maps after each of four stages, and pooled values.

    The network is MONAI's without its classifier, ``dim`` the channels of its last stage.
    ``standardise`` brings each image to mean 0 and deviation 1 over its non-zero voxels, as
    MedicalNet does; else [0, 1] becomes [-1, 1], as RadImageNet does.
    """

    def __init__(
        self, network: nn.Module, name: str, dim: int, spatial_dims: int, standardise: bool
    ) -> None:
        super().__init__()
        self.network, self.name, self.dim = network, name, dim
        self.spatial_dims, self.standardise = spatial_dims, standardise
        self.sha256 = ""

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return maps (N, C, *S / s) at s = 4, 8, 16 and 32."""
        x = _standardised(image) if self.standardise else 2 * image - 1
        maps = []
        for name in STEM + STAGES:
            x = self.network.get_submodule(name)(x)
            if name in STAGES:
                maps.append(x)
        return maps

    def pooled(self, image: Tensor) -> Tensor:
        """Return one vector an image, (N, dim)."""
        return self.forward(image)[-1].flatten(2).mean(dim=2)


def load_radimagenet(path: str, sha256: str | None = None) -> nn.Module:
    """Return ResNet-50 with the PyTorch weights of RadImageNet, for slices (N, 3, H, W).

    Args:
        path: Their ResNet50.pt, a state dict; UsageError if there is none.
        sha256: Hash of the file, else MrcontrastError; None takes any and notes it.

    Source: Mei et al. 2022, Radiology: AI 4(5).
    """
    return _load("radimagenet_resnet50", 50, 2, Path(path), sha256, standardise=False)


def load_medicalnet(path: str, depth: int = 10, sha256: str | None = None) -> nn.Module:
    """Return a 3D ResNet with the weights of MedicalNet, for volumes (N, 1, X, Y, Z).

    Args:
        path: Such as their resnet_10_23dataset.pth; UsageError if there is none.
        depth: 10, 18 or 50 layers.
        sha256: Hash of the file, else MrcontrastError; None takes any and notes it.

    Source: Chen, Ma and Zheng 2019, arXiv 1904.00625; without the dilation of its last stages.
    """
    return _load(f"medicalnet_resnet{depth}", depth, 3, Path(path), sha256, standardise=True)


def _load(
    name: str, depth: int, spatial_dims: int, path: Path, sha256: str | None, standardise: bool
) -> nn.Module:
    """Build MONAI's ResNet and fill it from the file."""
    digest = check_file(path, sha256)
    build, dim = BUILDERS[depth]
    network = build(
        spatial_dims=spatial_dims,
        n_input_channels=1 if spatial_dims == 3 else 3,
        conv1_t_stride=2,
        feed_forward=False,
        shortcut_type="A" if spatial_dims == 3 and depth == 18 else "B",
        bias_downsample=False,
    )
    load_into(network, _own_names(read_weights(path)), path)
    features = ResNetFeatures(network, name, dim, spatial_dims, standardise).eval()
    features.sha256 = digest
    return features


def _own_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights by the names that MONAI gives them.

    >>> sorted(_own_names({"module.conv1.weight": 0, "backbone.4.0.bn1.bias": 0}))
    ['conv1.weight', 'layer1.0.bn1.bias']
    """

    def renamed(name: str) -> str:
        name = name.removeprefix("module.")
        if (found := re.match(r"backbone\.(\d)\.", name)) and found[1] in PLACES:
            return f"{PLACES[found[1]]}.{name[found.end() :]}"
        return name

    return {renamed(name): value for name, value in weights.items()}


def _standardised(image: Tensor) -> Tensor:
    """Bring the non-zero voxels of each image (N, C, *S) to mean 0 and deviation 1."""
    inside = (image != 0).to(image.dtype)
    axes = tuple(range(1, image.ndim))
    count = inside.sum(dim=axes, keepdim=True).clamp_min(1)
    mean = (image * inside).sum(dim=axes, keepdim=True) / count
    variance = ((image - mean).square() * inside).sum(dim=axes, keepdim=True) / count
    return (image - mean) * inside / (variance.sqrt() + 1e-6)
