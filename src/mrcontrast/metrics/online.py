"""Image metrics that a stage logs while it trains."""

import torch
from torch import Tensor


def masked_psnr(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Return the peak signal-to-noise ratio in the mask for each item, (B,), in dB.

    All are (B, 1, *S); the intensity range is 1, and the mask above 0.5 in the brain. An empty mask
    gives NaN.

    >>> zero, one = torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2)
    >>> masked_psnr(zero + 0.1, zero, one).item()
    20.0
    """
    inside = (mask > 0.5).flatten(1)
    squares = (prediction - target).square().flatten(1)
    mse = (squares * inside).sum(dim=1) / inside.sum(dim=1)
    return -10 * torch.log10(mse.clamp_min(1e-10))
