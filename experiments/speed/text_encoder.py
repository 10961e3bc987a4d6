"""A text encoder of the original's size with random weights, to measure its time."""

import torch
from torch import Tensor, nn

TOKENS = 77
WORDS = 49408


class TextEncoder(nn.Module):
    """A causal transformer over the tokens of a prompt, (B, 77) to (B, 77, width).

    Args:
        width: Width of the embedding; attention heads are 64 wide, as in CLIP.
        layers: Number of layers.

    Source: the text tower of OpenCLIP ViT-H/14 as Stable Diffusion 2.1 uses it (width 1024,
    23 layers, 340 M parameters), which the original loads.
    """

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, width)
        self.places = nn.Parameter(torch.randn(TOKENS, width) * 0.01)
        layer = nn.TransformerEncoderLayer(
            width, max(width // 64, 1), 4 * width, 0.0, "gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(
            layer, layers, nn.LayerNorm(width), enable_nested_tensor=False
        )
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(TOKENS))

    def forward(self, tokens: Tensor) -> Tensor:
        """Encode (B, 77) int64."""
        return self.layers(self.words(tokens) + self.places, mask=self.mask, is_causal=True)


def prompt(batch_size: int) -> Tensor:
    """Return the tokens of one constant prompt per item, (B, 77) int64."""
    return (torch.arange(TOKENS) * 37 % WORDS).expand(batch_size, TOKENS)
