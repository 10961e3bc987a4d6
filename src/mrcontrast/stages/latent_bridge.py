"""A flow that starts from the latent of the source in the place of noise."""

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from mrcontrast import keys
from mrcontrast.diffusion.process import DiffusionProcess
from mrcontrast.diffusion.sampling import Generators
from mrcontrast.errors import UsageError
from mrcontrast.latent.cache import LatentStore
from mrcontrast.latent.codec import AutoencoderCodec
from mrcontrast.latent.conditions import Condition
from mrcontrast.stages.latent_translation import LatentTranslation
from mrcontrast.stages.optimisation import Optimisation


class LatentBridge(LatentTranslation):
    """Learn a flow from the latent of the source, at t = 1, to that of the target, at t = 0.

    Args:
        codec: See ``LatentTranslation``, like all that are not explained here.
        denoiser: As there.
        condition: As there; the flow starts at its anchor.
        process: As there; a rectified flow makes the path straight.
        optimisation: As there.
        sigma: Standard deviation of the noise about the start, in latent units; 0 gives one target
            for each source, and samples differ more the larger it is.
        store: As there.
        context_slices: As there.
        source: As there.
        target: As there.

    Source: Liu et al. 2022, arXiv 2209.03003, section 2.1, whose flows may lead from data to data;
    ours couples the pairs of the data set and gives the denoiser its start at all times.
    """

    needs_anchor = True

    def __init__(  # noqa: PLR0913 - each a choice of the config
        self,
        codec: AutoencoderCodec,
        denoiser: Callable[..., nn.Module],
        condition: Condition,
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
        """Sample the target image of each item; see ``Stage.forward``.

        Raises:
            UsageError: The sampler adds noise in its steps, which this path does not have.
        """
        if self.sampler.draws_on_its_way:
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
