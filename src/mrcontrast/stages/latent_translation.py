"""The shared base of stages whose denoiser takes the condition as further channels."""

from collections.abc import Sequence
from typing import Unpack

import torch
from torch import Tensor

from mrcontrast.errors import UsageError
from mrcontrast.networks.time import network_time
from mrcontrast.stages.latent_stage import LatentArguments, LatentStage


class LatentTranslation(LatentStage):
    """Learn p(target latent | source) with one denoiser. Shapes and ranges: mrcontrast.keys.

    Args:
        arguments: See ``LatentStage``; with a condition.

    Raises:
        UsageError: The condition does not fit the codec, or lacks an anchor that the stage needs.
    """

    concatenates = True
    needs_anchor = False

    def __init__(self, **arguments: Unpack[LatentArguments]) -> None:
        super().__init__(**arguments)
        if self.needs_anchor and not (self.condition and self.condition.has("anchor")):
            found = ", ".join(self.condition.signals) if self.condition else "none"
            raise UsageError(
                f"Expected a condition with an anchor for a {type(self).__name__}, got {found}. "
                "Take stage/condition=source_anchor or regression_anchor."
            )

    def network(
        self, condition: Sequence[Tensor], z_t: Tensor, t: Tensor, context: Tensor | None = None
    ) -> Tensor:
        """Run the denoiser once; see ``LatentStage.network``."""
        inputs = torch.cat([z_t, *condition], dim=1)
        if self.prompt is not None and context is not None:
            inputs = self.prompt.concatenate(inputs, context)
        return self.denoiser(inputs, network_time(t), context=context)
