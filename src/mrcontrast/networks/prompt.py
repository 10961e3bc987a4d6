"""A constant prompt embedding for cross-attention."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from mrcontrast.errors import MrcontrastError, UsageError


class Prompt(nn.Module):
    """One constant sequence of embedded tokens, and one null sequence, for cross-attention.

    The two are buffers: encoded once, stored with the stage's weights, never trained. Some training
    items get the null sequence, so that sampling can be guided away from it.

    Args:
        tokens: Length of a sequence, N.
        width: Width of a token, D; ``cross_attention_dim`` of the denoiser.
        dropout: Share of the training items that get the null sequence, in [0, 1].
        guidance: w of null + w (prompt - null) in sampling; 1 is the prompt alone and 0
            the null sequence alone, both for one network call, anything else for two.
        path: Safetensors file with "prompt" and "null", (N, D) each, as a text encoder made them;
            None draws both from a fixed seed, which serves a network trained with them as well.
        concatenated: Whether the mean token is also concatenated to the noisy latent, D channels.

    Raises:
        UsageError: A number is out of range.
        MrcontrastError: The file is missing, or holds tensors of other shapes.

    Source: Ho & Salimans 2022, arXiv 2207.12598, eq. 6 (there w is ours less one); Rombach et al.
    2022, arXiv 2112.10752, section 3.3, for both ways to condition.
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
        if not 0 <= dropout <= 1:
            raise UsageError(f"Expected a dropout in [0, 1], got {dropout:g} (stage.prompt).")
        self.dropout = dropout
        self.guidance = guidance
        self.concatenated = concatenated
        found = read_prompt(path, tokens, width) if path else draw_prompt(tokens, width)
        for name, value in found.items():
            self.register_buffer(name, value)

    @property
    def calls(self) -> int:
        """Network calls of a guided prediction."""
        return 1 if self.guidance in (0.0, 1.0) else 2

    @property
    def channels(self) -> int:
        """Channels that ``concatenate`` adds to a latent."""
        return self.prompt.shape[-1] if self.concatenated else 0

    def forward(self, count: int) -> Tensor:
        """Return the context of a batch, (B, N, D); in training some items get the null one."""
        prompts = self.prompt.expand(count, -1, -1)
        if not self.training or self.dropout == 0:
            return prompts
        dropped = torch.rand(count, 1, 1, device=prompts.device) < self.dropout
        return torch.where(dropped, self.null, prompts)

    def concatenate(self, z: Tensor, context: Tensor) -> Tensor:
        """Return the denoiser's input for latents (B, C, *S) and a context (B, N, D)."""
        if not self.concatenated:
            return z
        values = context.mean(dim=1)
        planes = values.view(*values.shape, *[1] * (z.ndim - 2)).expand(-1, -1, *z.shape[2:])
        return torch.cat([z, planes.to(z)], dim=1)

    def plain(
        self, call: Callable[..., Tensor], condition: Sequence[Tensor], z_t: Tensor, t: Tensor
    ) -> Tensor:
        """Return a network's prediction under the prompt; see ``LatentStage.network``."""
        return call(condition, z_t, t, self(len(z_t)))

    def guided(
        self, call: Callable[..., Tensor], condition: Sequence[Tensor], z_t: Tensor, t: Tensor
    ) -> Tensor:
        """Return a network's guided prediction, with the condition in both branches."""
        prompts, null = (value.expand(len(z_t), -1, -1) for value in (self.prompt, self.null))
        if self.guidance == 0:
            return call(condition, z_t, t, null)
        if self.guidance == 1:
            return call(condition, z_t, t, prompts)
        empty = call(condition, z_t, t, null)
        return empty + self.guidance * (call(condition, z_t, t, prompts) - empty)


def draw_prompt(tokens: int, width: int) -> dict[str, Tensor]:
    """Return a prompt and a null sequence of unit variance, (N, D) each, always the same."""
    generator = torch.Generator().manual_seed(0)
    return {
        name: torch.randn(tokens, width, generator=generator, device="cpu")
        for name in ("prompt", "null")
    }


def read_prompt(path: str, tokens: int, width: int) -> dict[str, Tensor]:
    """Read a prompt and a null sequence, (N, D) each, in float32.

    Raises:
        MrcontrastError: The file is missing, or holds tensors of other shapes.
    """
    from safetensors.torch import load_file

    if not Path(path).is_file():
        raise MrcontrastError(f"Expected a safetensors file, got none ({path}). Check the path.")
    found = load_file(path)
    for name in ("prompt", "null"):
        shape = tuple(found[name].shape) if name in found else "none"
        if shape != (tokens, width):
            raise MrcontrastError(
                f"Expected a tensor {name} of shape {(tokens, width)}, got {shape} ({path}). "
                "Write it with the text encoder, or change stage.prompt.tokens and width."
            )
    return {name: found[name].float() for name in ("prompt", "null")}
