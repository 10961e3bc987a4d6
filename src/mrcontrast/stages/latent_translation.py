"""The shared base of stages whose denoiser takes the condition as further channels."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from mrcontrast.diffusion.process import DiffusionProcess
from mrcontrast.errors import UsageError
from mrcontrast.latent.cache import LatentStore
from mrcontrast.latent.codec import AutoencoderCodec
from mrcontrast.latent.conditions import Condition
from mrcontrast.networks.memory_format import channels_last
from mrcontrast.networks.time import network_time
from mrcontrast.stages.latent_stage import LatentStage
from mrcontrast.stages.optimisation import Optimisation


class LatentTranslation(LatentStage):
    """Learn p(target latent | source) with one denoiser. Shapes and ranges: mrcontrast.keys.

    Args:
        codec: See ``LatentStage``, like all that are not explained here.
        denoiser: Builds the network for spatial_dims, in_channels (noisy latent and condition)
            and out_channels.
        condition: Further channels of the denoiser, at the latent's size.
        process: As there.
        optimisation: As there.
        store: As there.
        context_slices: As there.
        source: As there.
        target: As there.

    Raises:
        UsageError: The condition does not fit the codec, or lacks an anchor that the stage needs.
    """

    needs_anchor = False

    def __init__(  # noqa: PLR0913 - each a choice of the config
        self,
        codec: AutoencoderCodec,
        denoiser: Callable[..., nn.Module],
        condition: Condition,
        process: DiffusionProcess,
        optimisation: Optimisation,
        store: LatentStore | None = None,
        context_slices: int = 0,
        source: Sequence[str] = ("flair",),
        target: str = "t1w",
    ) -> None:
        if self.needs_anchor and not condition.has("anchor"):
            raise UsageError(
                f"Expected a condition with an anchor for a {type(self).__name__}, got "
                f"{', '.join(condition.signals)}. Take stage/condition=source_anchor or "
                "regression_anchor."
            )
        condition.attach(codec, source, context_slices)
        network = denoiser(**codec.network_sizes(condition.channels(codec)))
        parts = codec, network, process, optimisation, store, condition
        super().__init__(*parts, context_slices=context_slices, source=source, target=target)
        channels_last(self)

    def network(
        self, condition: Sequence[Tensor], z_t: Tensor, t: Tensor, context: Tensor | None = None
    ) -> Tensor:
        """Run the denoiser once; see ``LatentStage.network``."""
        return self.denoiser(torch.cat([z_t, *condition], dim=1), network_time(t))
