"""Set the initial noise of an autoencoder's latents."""

import math
from typing import Any

from monai.networks.nets import AutoencoderKL
from torch import nn


def quieten_posterior(autoencoder: AutoencoderKL, sigma: float) -> None:
    """Let the posterior's standard deviation start at ``sigma`` everywhere, in place.

    As MONAI builds it sigma starts near 1, where the mean is near 0: the decoder sees noise, learns
    the mean image, and the encoder needs hundreds of steps to outgrow it. The KL term raises sigma
    again as far as its weight asks.

    >>> net = AutoencoderKL(2, 1, 1, channels=(8,), attention_levels=(False,), num_res_blocks=1,
    ...     norm_num_groups=4, with_encoder_nonlocal_attn=False, with_decoder_nonlocal_attn=False)
    >>> quieten_posterior(net, sigma=0.1)
    >>> net.quant_conv_log_sigma.conv.bias.exp().sqrt().detach()
    tensor([0.1000, 0.1000, 0.1000])
    """
    log_variance: Any = autoencoder.quant_conv_log_sigma
    nn.init.zeros_(log_variance.conv.weight)
    nn.init.constant_(log_variance.conv.bias, 2 * math.log(sigma))
