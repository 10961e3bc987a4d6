"""Kullback-Leibler divergence of a diagonal Gaussian from the standard normal."""

import torch
from torch import Tensor


def kl_divergence(mean: Tensor, sigma: Tensor) -> Tensor:
    """Return KL(N(mean, sigma^2) || N(0, 1)), averaged over latent values, a scalar in nats.

    The mean, not the sum, so that its weight does not depend on the size of the image. Posterior
    mean and standard deviation, above 0, are (B, C, *S).

    Source: Kingma & Welling 2014, arXiv 1312.6114, appendix B.

    >>> kl_divergence(torch.ones(1, 1, 2), torch.ones(1, 1, 2)).item()
    0.5
    """
    variance = sigma.square().clamp_min(1e-12)
    return 0.5 * torch.mean(mean.square() + variance - 1 - variance.log())
