"""A flow that starts from the latent of FLAIR in the place of noise."""

from collections.abc import Sequence

from monai.networks.nets import DiffusionModelUNet
from torch import Tensor

from mrcontrast import keys
from mrcontrast.diffusion.process import DiffusionProcess
from mrcontrast.diffusion.sampling import Generators
from mrcontrast.errors import UsageError
from mrcontrast.latent.cache import LatentStore
from mrcontrast.latent.codec import AutoencoderCodec
from mrcontrast.latent.conditions import AnchoredCondition
from mrcontrast.stages.latent_translation import LatentTranslation
from mrcontrast.stages.optimisation import Optimisation


class LatentBridge(LatentTranslation):
    """Learn a flow from the latent of FLAIR, at t = 1, to that of T1w, at t = 0.

    Args:
        codec: As all arguments but two, see ``LatentTranslation``.
        denoiser: As there.
        condition: As there; its anchor is where the flow starts.
        process: As there; a rectified flow makes the path straight.
        optimisation: As there.
        sigma: Standard deviation of the noise about the start, in latent units; 0 gives one T1w
            for each FLAIR, and more lets draws differ.
        store: As there.
        context_slices: As there.
        source: See ``Stage``.
        target: See ``Stage``.

    Source: Liu et al. 2022, arXiv 2209.03003, section 2.1, whose flows may lead from data to data;
    ours couples the pairs of the data set and shows the denoiser its start at all times.
    """

    condition: AnchoredCondition

    def __init__(  # noqa: PLR0913 - each a choice of the config
        self,
        codec: AutoencoderCodec,
        denoiser: DiffusionModelUNet,
        condition: AnchoredCondition,
        process: DiffusionProcess,
        optimisation: Optimisation,
        sigma: float,
        store: LatentStore | None = None,
        context_slices: int = 0,
        source: Sequence[str] = ("flair",),
        target: str = "t1w",
    ) -> None:
        parts = codec, denoiser, condition, process, optimisation, store, context_slices
        super().__init__(*parts, source, target)
        self.sigma = sigma

    def forward(
        self, batch: keys.Batch, noise: Tensor | None = None, generator: Generators = None
    ) -> Tensor:
        """Draw the T1w image of each FLAIR, (B, 1, *S) in [0, 1].

        Raises:
            UsageError: The sampler draws noise on its way, which this path does not have.
        """
        if self.sampler.draws_on_its_way:
            raise UsageError(
                "Expected a sampler that follows the path of a bridge, got one that draws noise on "
                f"its way ({type(self.sampler).__name__}). Take euler_flow or heun_flow."
            )
        return super().forward(batch, noise, generator)

    def noise_shape(self, image_shape: Sequence[int]) -> tuple[int, ...] | None:
        """Return the shape of the noise about the start; None when sigma is 0."""
        return self.codec.latent_shape(image_shape) if self.sigma > 0 else None

    def noise_end(self, noise: Tensor, condition: Tensor) -> Tensor:
        """Return the anchor with a little noise."""
        return self.condition.anchor(condition, self.codec) + self.sigma * noise
