"""Contexts of cross-attention, and a constant one."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from mrcontrast import keys
from mrcontrast.errors import MrcontrastError, UsageError

NAMES = ("prompt", "null")  # of the sequences of a prompt


class ContextPrompt(nn.Module, ABC):
    """What a network listens to besides its image, and how sampling is guided by it.

    Attributes:
        guidance: w of null + w (prompt - null) in sampling; 1 is the prompt alone and 0 the null
            context alone, both for one network call, anything else for two.
        channels: Channels that ``concatenate`` adds to a latent.

    Source: Ho & Salimans 2022, arXiv 2207.12598, eq. 6 (there w is ours less one).
    """

    guidance: float
    channels = 0

    @property
    def calls(self) -> int:
        """Network calls of a guided prediction."""
        return 1 if self.guidance in (0.0, 1.0) else 2

    @abstractmethod
    def context(self, batch: keys.Batch) -> Tensor:
        """Return the context of a batch, (B, N, D); in training some items get the null one."""

    @abstractmethod
    def null_context(self, batch: keys.Batch) -> Tensor:
        """Return the context that guidance leads away from, (B, N, D)."""

    def contexts(self, batch: keys.Batch, guided: bool) -> list[Tensor]:
        """Return the context of a batch, or the one or two that a guided prediction takes."""
        if not guided or self.guidance == 1:
            return [self.context(batch)]
        null = self.null_context(batch)
        return [null] if self.guidance == 0 else [null, self.context(batch)]

    def concatenate(self, z: Tensor, context: Tensor) -> Tensor:
        """Return the denoiser's input for latents (B, C, *S) and a context (B, N, D)."""
        return z

    def predict(self, network: Callable[[Tensor], Tensor], contexts: Sequence[Tensor]) -> Tensor:
        """Return the prediction of a network, called with each context, under guidance."""
        answers = [network(context) for context in contexts]
        if len(answers) == 1:
            return answers[0]
        return answers[0] + self.guidance * (answers[1] - answers[0])


class Prompt(ContextPrompt):
    """One constant sequence of embedded tokens, and one null sequence, for cross-attention.

    The two are buffers: encoded once, stored with the stage's weights, never trained. Some training
    items get the null sequence, so that sampling can be guided away from it.

    Args:
        tokens: Length of a sequence, N.
        width: Width of a token, D; ``cross_attention_dim`` of the denoiser.
        dropout: Share of the training items that get the null sequence, in [0, 1].
        guidance: See ``ContextPrompt``.
        path: Safetensors file with "prompt" and "null", (N, D) each, as a text encoder made them;
            None draws both from a fixed seed, which serves a network trained with them as well.
        concatenated: Whether the mean token is also concatenated to the noisy latent, D channels.

    A number out of range is UsageError; a file that is missing, or holds tensors of other shapes,
    MrcontrastError.

    Source: Rombach et al. 2022, arXiv 2112.10752, section 3.3, for both ways to condition.
    """

    prompt: Tensor
    null: Tensor

    def __init__(
        self,
        tokens: int,
        width: int,
        dropout: float = 0.0,
        guidance: float = 1.0,
        path: str | None = None,
        concatenated: bool = False,
    ) -> None:
        super().__init__()
        check_numbers({"dropout": dropout}, guidance)
        self.dropout, self.guidance = dropout, guidance
        self.channels = width if concatenated else 0
        generator = torch.Generator().manual_seed(0)
        stored = read_prompt(path, (tokens, width)) if path else {}
        for name in NAMES:
            drawn = torch.randn(tokens, width, generator=generator, device="cpu")
            self.register_buffer(name, stored.get(name, drawn))

    def context(self, batch: keys.Batch) -> Tensor:
        """Return the prompt for all items; in training some get the null sequence."""
        prompts = self.prompt.expand(size_of(batch), -1, -1)
        if not self.training or self.dropout == 0:
            return prompts
        dropped = torch.rand(len(prompts), 1, 1, device=prompts.device) < self.dropout
        return torch.where(dropped, self.null, prompts)

    def null_context(self, batch: keys.Batch) -> Tensor:
        """Return the null sequence for all items."""
        return self.null.expand(size_of(batch), -1, -1)

    def concatenate(self, z: Tensor, context: Tensor) -> Tensor:
        """Return the denoiser's input for latents (B, C, *S) and a context (B, N, D)."""
        if not self.channels:
            return z
        values = context.mean(dim=1)
        planes = values.view(*values.shape, *[1] * (z.ndim - 2)).expand(-1, -1, *z.shape[2:])
        return torch.cat([z, planes.to(z)], dim=1)


def check_numbers(shares: Mapping[str, float], guidance: float) -> None:
    """Raise UsageError for a share out of [0, 1] or a guidance that is no finite number."""
    for name, share in shares.items():
        if not 0 <= share <= 1:
            raise UsageError(f"Expected a {name} in [0, 1], got {share:g} (stage.prompt).")
    if not math.isfinite(guidance):
        raise UsageError(f"Expected a number as guidance, got {guidance:g} (stage.prompt).")


def size_of(batch: keys.Batch) -> int:
    """Return the number of items of a batch."""
    return next(len(value) for value in batch.values() if isinstance(value, Tensor))


def read_prompt(path: str, shape: tuple[int, int]) -> dict[str, Tensor]:
    """Read both sequences of a file in float32; MrcontrastError if one has not this shape."""
    from safetensors.torch import load_file

    if not Path(path).is_file():
        raise MrcontrastError(f"Expected a safetensors file, got none ({path}). Check the path.")
    found = load_file(path)
    for name in NAMES:
        got = tuple(found[name].shape) if name in found else "none"
        if got != shape:
            raise MrcontrastError(
                f"Expected a tensor {name} of shape {shape}, got {got} ({path}). "
                "Write it with the text encoder, or change stage.prompt.tokens and width."
            )
    return {name: found[name].float() for name in NAMES}
