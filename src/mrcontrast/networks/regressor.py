"""A network that turns FLAIR into T1w in one call, for images of any size."""

from torch import Tensor, nn

from mrcontrast import keys
from mrcontrast.networks.memory_format import channels_last
from mrcontrast.networks.padding import crop, pad_to_multiple


class Regressor(nn.Module):
    """A U-Net, or anything like it, with what must be known to feed it.

    Args:
        network: (B, 1 + 2 * context_slices, *S) -> (B, 1, *S), for axes that ``factor`` divides.
        spatial_dims: 2 or 3.
        context_slices: Neighbouring slices on each side that come with FLAIR in 2D, k.
        factor: What the network's axes must be multiples of: the product of its strides.
    """

    def __init__(
        self, network: nn.Module, spatial_dims: int, context_slices: int, factor: int
    ) -> None:
        super().__init__()
        self.network = network
        self.spatial_dims = spatial_dims
        self.context_slices = context_slices
        self.factor = factor
        channels_last(self)

    def forward(self, flair: Tensor) -> Tensor:
        """Return the network's T1w (B, 1, *S), not clamped, of FLAIR (B, 1 + 2k, *S)."""
        return crop(self.network(pad_to_multiple(flair, self.factor)), flair.shape[2:])

    def image(self, flair: Tensor) -> Tensor:
        """Return the T1w image (B, 1, *S) in [0, 1] of FLAIR (B, 1 + 2k, *S)."""
        image: Tensor = self(flair)
        return image.clamp(0.0, 1.0)

    def pictures(self, batch: keys.Batch) -> dict[str, Tensor]:
        """Return FLAIR, synthetic and real T1w and the error, (B, 1, *S) in [0, 1], by title."""
        flair, target = batch["source"], batch["target"]
        synthetic = self.image(flair)
        return {
            "FLAIR": flair[:, flair.shape[1] // 2].unsqueeze(1),
            "synthetic": synthetic,
            "T1w": target,
            "error": (synthetic - target).abs(),
        }
