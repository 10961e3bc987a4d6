"""Attention without the matrix of all pairs of positions in memory."""

from monai.networks.blocks import SABlock
from monai.networks.blocks.crossattention import CrossAttentionBlock
from torch import nn


def quicken_attention(module: nn.Module) -> None:
    """Let MONAI's attention blocks use PyTorch's fused kernels, in place; values stay.

    Blocks whose values would change are left: with dropout MONAI's fused path drops in evaluation
    too, and relative positions, stored weights and a type of its own need the weights of all pairs.
    It is no setting of a config, so that runs of any age have it and none is another run by it.

    Source: Dao et al. 2022, arXiv 2205.14135; Rabe & Staats 2021, arXiv 2112.05682.

    >>> block = SABlock(hidden_size=8, num_heads=2)
    >>> quicken_attention(block)
    >>> block.use_flash_attention
    True
    """
    for block in module.modules():
        if isinstance(block, SABlock | CrossAttentionBlock) and is_plain(block):
            block.use_flash_attention = True


def is_plain(block: SABlock | CrossAttentionBlock) -> bool:
    """Return whether fused kernels compute what a block computes."""
    needs_weights = block.save_attn or block.rel_positional_embedding is not None
    return not (block.dropout_rate or needs_weights or block.attention_dtype is not None)
