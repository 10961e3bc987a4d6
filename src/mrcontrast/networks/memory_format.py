"""The order in memory that convolutions are fastest with."""

from torch import nn

from mrcontrast.networks.attention import quicken_attention
from mrcontrast.networks.group_norm import FORMATS, quicken_norms


def channels_last(module: nn.Module) -> None:
    """Store the weights of 2D and 3D convolutions channels-last, in place, and quicken the rest.

    Activations follow the weights. On a CPU with AVX-512 a training step takes half to two thirds
    of the time; values do not change but for gradients of group norms in bf16, by their rounding.

    >>> import torch
    >>> convolution = nn.Conv2d(3, 4, 3)
    >>> channels_last(convolution)
    >>> convolution.weight.is_contiguous(memory_format=torch.channels_last)
    True
    """
    for parameter in module.parameters():
        if parameter.ndim in FORMATS:
            parameter.data = parameter.data.contiguous(memory_format=FORMATS[parameter.ndim])
    quicken_norms(module)
    quicken_attention(module)
