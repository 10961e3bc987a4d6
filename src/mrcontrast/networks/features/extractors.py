"""From volumes to feature vectors: slices along three axes, or whole volumes."""

from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

QUANTILES = (0.1, 0.9)  # of the brain's extent along an axis; beyond it slices are nearly empty


class FeatureNetwork(Protocol):
    """A frozen network, whose name goes into those of the measures."""

    name: str
    sha256: str  # of the weights' file
    dim: int  # length of a pooled vector
    spatial_dims: int

    def __call__(self, image: Tensor) -> list[Tensor]:
        """Return maps (N, C, *S / s), finest first, of images in [0, 1]."""

    def pooled(self, image: Tensor) -> Tensor:
        """Return one vector an image, (N, dim)."""


class Extractor(Protocol):
    """Turns a brain into inputs of a feature network."""

    network: FeatureNetwork
    name: str  # network and view, such as "efficientnet_lite0_2.5d"

    def inputs(self, image: np.ndarray, mask: np.ndarray) -> Tensor:
        """Return the inputs of the network, (n, C, *S), of an image (X, Y, Z) in [0, 1]."""

    def describe(self) -> dict[str, Any]:
        """Return what a reader needs to compute the same."""


class SliceFeatures:
    """2.5D: slices along all three axes, evenly through the brain, through a 2D network.

    The network takes (N, 3, H, W) in [0, 1]. Slices are padded to squares and resized to
    ``size_voxels``.
    """

    def __init__(self, network: FeatureNetwork, slices_per_axis: int, size_voxels: int) -> None:
        self.network, self.slices_per_axis = network, slices_per_axis
        self.size_voxels = size_voxels
        self.name = f"{network.name}_2.5d"

    def inputs(self, image: np.ndarray, mask: np.ndarray) -> Tensor:
        """Return slices (3 * slices_per_axis, 3, size, size) of an image (X, Y, Z).

        Outside the mask (X, Y, Z) all is 0; values beyond [0, 1] are cut.
        """
        brain, volume = _bounded(image, mask)
        slices = []
        for axis in range(3):
            chosen = torch.as_tensor(_positions(brain, axis, self.slices_per_axis))
            stack = volume.movedim(axis, 0)[chosen][:, None]
            slices.append(_square(stack, self.size_voxels))
        return torch.cat(slices).expand(-1, 3, -1, -1)

    def describe(self) -> dict[str, Any]:
        """Return what a reader needs to compute the same."""
        return _describe(self) | {
            "view": f"{self.slices_per_axis} slices along each of three axes, from the "
            f"{QUANTILES[0]:.0%} to the {QUANTILES[1]:.0%} quantile of the brain's voxels, 0 "
            f"outside the brain, cut to [0, 1], padded to squares, resized to {self.size_voxels} "
            "(bilinear), one channel given three times",
            "vectors_per_volume": 3 * self.slices_per_axis,
        }


class VolumeFeatures:
    """3D: whole brains through a 3D network of (N, 1, X, Y, Z) in [0, 1], one vector each."""

    def __init__(self, network: FeatureNetwork) -> None:
        self.network, self.name = network, f"{network.name}_3d"

    def inputs(self, image: np.ndarray, mask: np.ndarray) -> Tensor:
        """Return the bounding box of the brain, (1, 1, X, Y, Z); 0 outside the mask."""
        return _bounded(image, mask)[1][None, None]

    def describe(self) -> dict[str, Any]:
        """Return what a reader needs to compute the same."""
        words = "bounding box of the brain on its own grid, 0 outside the brain, cut to [0, 1]"
        return _describe(self) | {"view": words, "vectors_per_volume": 1}


@torch.no_grad()
def pooled_features(extractor: Extractor, inputs: Tensor) -> np.ndarray:
    """Return the feature vectors of inputs of the network, (n, dim) float64."""
    return extractor.network.pooled(inputs).double().numpy()


def _describe(extractor: Extractor) -> dict[str, Any]:
    network = extractor.network
    return {"name": extractor.name, "dim": network.dim, "weights_sha256": network.sha256}


def _bounded(image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, Tensor]:
    """Return mask and image in the mask's bounding box; the image is cut to [0, 1], 0 outside."""
    box = tuple(slice(where.min(), where.max() + 1) for where in np.nonzero(mask))
    inside = np.where(mask, np.clip(image, 0, 1), 0).astype(np.float32)
    return mask[box], torch.from_numpy(np.ascontiguousarray(inside[box]))


def _positions(brain: np.ndarray, axis: int, count: int) -> np.ndarray:
    """Return evenly spaced positions along an axis, (count,), within most of the brain."""
    others = tuple(k for k in range(brain.ndim) if k != axis)
    share = np.cumsum(brain.sum(axis=others)) / brain.sum()
    first, last = (int(np.searchsorted(share, quantile)) for quantile in QUANTILES)
    return np.round(np.linspace(first, last, count)).astype(int)


def _square(stack: Tensor, size: int) -> Tensor:
    """Pad slices (n, 1, H, W) with 0 to squares and resize them to (n, 1, size, size)."""
    height, width = stack.shape[2:]
    side = max(height, width)
    left, top = (side - width) // 2, (side - height) // 2
    padded = F.pad(stack, (left, side - width - left, top, side - height - top))
    return F.interpolate(
        padded, size=(size, size), mode="bilinear", align_corners=False, antialias=True
    )
