"""The shared base of stages whose denoiser takes the condition as further channels."""

from collections.abc import Sequence
from typing import Unpack

import torch
from torch import Tensor

from mrcontrast import keys
from mrcontrast.errors import UsageError
from mrcontrast.stages.latent_stage import LatentArguments, LatentStage, network_time


class LatentTranslation(LatentStage):
    """Learn p(target latent | source) with one denoiser. Shapes and ranges: mrcontrast.keys.

    Arguments: ``LatentStage``, with a condition. UsageError: it does not fit the codec, or lacks an
    anchor that the stage needs.
    """

    concatenates = True
    needs_anchor = False

    def __init__(self, **arguments: Unpack[LatentArguments]) -> None:
        super().__init__(**arguments)
        signals = {} if self.condition is None else self.condition.signals
        if self.needs_anchor and keys.ANCHOR not in [each.key for each in signals.values()]:
            found = ", ".join(signals) or "none"
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
