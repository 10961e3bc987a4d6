"""A flow that starts from the latent of the source in the place of noise."""

from collections.abc import Sequence
from typing import Unpack

from torch import Tensor

from mrcontrast import keys
from mrcontrast.diffusion.sampling import Generators
from mrcontrast.errors import UsageError
from mrcontrast.stages.latent_stage import LatentArguments
from mrcontrast.stages.latent_translation import LatentTranslation


class LatentBridge(LatentTranslation):
    """Learn a flow from the latent of the source, at t = 1, to that of the target, at t = 0.

    It starts at the condition's anchor; a rectified flow as process makes the path straight.
    ``sigma`` is the standard deviation of the noise about the start, in latent units: 0 gives one
    target for each source, and samples differ more the larger it is.

    Source: Liu et al. 2022, arXiv 2209.03003, section 2.1, whose flows may lead from data to data;
    ours couples the pairs of the data set and gives the denoiser its start at all times.
    """

    needs_anchor = True

    def __init__(self, sigma: float, **arguments: Unpack[LatentArguments]) -> None:
        super().__init__(**arguments)
        self.sigma = sigma

    def forward(
        self, batch: keys.Batch, noise: Tensor | None = None, generator: Generators = None
    ) -> Tensor:
        """Sample the target image of each item; UsageError for a sampler that adds noise."""
        if self.sampler.adds_noise:
            raise UsageError(
                "Expected a sampler that follows the path of a bridge, got one that adds noise in "
                f"its steps ({type(self.sampler).__name__}). Take euler_flow or heun_flow."
            )
        return super().forward(batch, noise, generator)

    def noise_shape(self, image_shape: Sequence[int]) -> tuple[int, ...] | None:
        """Return the shape of the noise about the start; None when sigma is 0."""
        return super().noise_shape(image_shape) if self.sigma > 0 else None

    def noise_end(self, noise: Tensor, batch: keys.Batch) -> Tensor:
        """Return the anchor with a little noise."""
        return batch["anchor"] + self.sigma * noise
