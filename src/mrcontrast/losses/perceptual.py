"""Distance between images in the feature space of a frozen network."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PerceptualLoss(nn.Module):
    """Mean squared distance of unit-normalised feature maps, averaged over the network's layers.

    The feature network is frozen; it takes (N, 3, H, W) in [0, 1] and returns a list of feature
    maps. Volumes are compared on random axial slices. The network is not part of the stage's
    weights: a trained run does not need it.

    Args:
        features: The network, or a function that loads it from a local file at its first use.
        slices: Axial slices to sample from each volume; unused in 2D.

    Source: Zhang et al. 2018, arXiv 1801.03924, eq. 1; ours has channel weights of 1 and the mean
    over layers, theirs the sum.
    """

    def __init__(self, features: nn.Module | Callable[[], nn.Module], slices: int = 4) -> None:
        super().__init__()
        self.source = features if not isinstance(features, nn.Module) else None
        self.loaded = [features] if isinstance(features, nn.Module) else []  # hidden from weights
        self.slices = slices

    def features(self, image: Tensor) -> list[Tensor]:
        """Return the network's maps of images (N, 3, H, W), on their device."""
        if not self.loaded:
            assert self.source is not None
            self.loaded = [self.source()]
        self.loaded = [self.loaded[0].eval().requires_grad_(False).to(image.device)]
        return self.loaded[0](image)

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return a scalar, at least 0, for images (B, 1, *S) in [0, 1]."""
        if prediction.ndim == 5:
            chosen = torch.randint(prediction.shape[-1], (self.slices,), device=prediction.device)
            prediction, target = (axial(image, chosen) for image in (prediction, target))
        ours = self.features(prediction.expand(-1, 3, -1, -1))
        theirs = self.features(target.expand(-1, 3, -1, -1))
        return torch.stack([layer_distance(a, b) for a, b in zip(ours, theirs, strict=True)]).mean()


def axial(volume: Tensor, chosen: Tensor) -> Tensor:
    """Return slices (B * n, 1, X, Y) of a volume (B, 1, X, Y, Z) at positions (n,) in z."""
    return volume[..., chosen].movedim(-1, 1).flatten(0, 1)


def layer_distance(ours: Tensor, theirs: Tensor) -> Tensor:
    """Return the mean squared distance of features (N, C, *S), normalised over channels."""
    difference = F.normalize(ours, dim=1) - F.normalize(theirs, dim=1)
    return difference.square().sum(dim=1).mean()
