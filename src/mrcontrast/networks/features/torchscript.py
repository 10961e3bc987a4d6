"""Any network that was saved as TorchScript, such as the Inception of FID."""

from pathlib import Path

import torch
from torch import Tensor, nn

from mrcontrast.networks.features.weights import check_file


class TorchScriptFeatures(nn.Module):
    """Pooled features of images (N, 3, H, W) in [0, 1] by a network that brings its own code.

    A TorchScript file holds a program: load only one whose hash you have from whoever made it.

    Args:
        path: The file; UsageError if there is none.
        sha256: Its SHA-256; needed, for the reason above; MrcontrastError for another file.
        name: Goes into the names of the measures.
        dim: Length of a feature vector.
        scale: Factor from [0, 1] to what the network was trained on: 255 for the FID Inception.
        flags: Extra arguments that the network takes, such as {"return_features": true}.

    Source: Karras et al. 2020, arXiv 2006.06676, distribute inception-2015-12-05.pt in this form.
    """

    spatial_dims = 2

    def __init__(
        self,
        path: str,
        sha256: str,
        name: str,
        dim: int,
        scale: float = 1.0,
        flags: dict[str, bool] | None = None,
    ) -> None:
        super().__init__()
        self.sha256 = check_file(Path(path), sha256)
        self.network = torch.jit.load(path, map_location="cpu").eval()
        self.name, self.dim, self.scale, self.flags = name, dim, scale, flags or {}
        self.requires_grad_(False)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the pooled features as the only map, (N, dim, 1, 1)."""
        return [self.pooled(image)[:, :, None, None]]

    def pooled(self, image: Tensor) -> Tensor:
        """Return one vector an image, (N, dim)."""
        return self.network(image * self.scale, **self.flags).flatten(1)
