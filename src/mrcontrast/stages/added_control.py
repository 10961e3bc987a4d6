"""A further trained ControlNet, whose residuals are added to those of a stage."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from mrcontrast import keys
from mrcontrast.latent.codec import AutoencoderCodec
from mrcontrast.latent.conditions import Condition

ROUNDING = 1e-6


class AddedControl(nn.Module):
    """A ControlNet of another run on the same denoiser, and the condition that it was trained with.

    Args:
        source: Names of the contrasts that the condition reads.
        scale: Factor of its residuals; 0 adds nothing.
        start: Part of the draw at which it begins to act, in [0, 1); 0 is the noise.
        end: Part of the draw at which it ends, in (start, 1].
    """

    def __init__(
        self,
        controlnet: nn.Module,
        condition: Condition,
        source: Sequence[str],
        scale: float,
        start: float = 0.0,
        end: float = 1.0,
    ) -> None:
        super().__init__()
        self.controlnet, self.condition, self.source = controlnet, condition, tuple(source)
        self.scale, self.start, self.end = scale, start, end

    def acts(self, step: int, steps: int) -> bool:
        """Return whether it acts in a step, counted from 0: as ``control_guidance_*`` of diffusers.

        >>> half = AddedControl(nn.Identity(), nn.Identity(), ["flair"], 1.0, 0.0, 0.5)
        >>> [half.acts(step, 4) for step in range(4)]
        [True, True, False, False]
        """
        inside = step >= self.start * steps - ROUNDING and step + 1 <= self.end * steps + ROUNDING
        return self.scale != 0 and inside

    def placed(self, batch: keys.Batch, given: Sequence[str], codec: AutoencoderCodec) -> Tensor:
        """Return its condition, (B, channels, ...), for a batch of the given contrasts."""
        own = self.condition.compute(of_sources(batch, given, self.source), codec)
        return self.condition(own, codec)


def of_sources(batch: keys.Batch, given: Sequence[str], wanted: Sequence[str]) -> keys.Batch:
    """Return a batch with some of the given contrasts, in another order."""
    rows = [tuple(given).index(name) for name in wanted]
    source = batch["source"].unflatten(1, (len(given), -1))[:, rows].flatten(1, 2)
    changed: dict[str, Any] = {**batch, "source": source}
    if "present" in batch:
        changed["present"] = batch["present"][:, rows]
    return changed  # type: ignore[return-value]
