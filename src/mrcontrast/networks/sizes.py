"""Read AutoencoderKL properties that MONAI does not expose."""

from typing import Any

from monai.networks.nets import AutoencoderKL


def downsampling(autoencoder: AutoencoderKL) -> int:
    """Return f: how many times smaller each axis of the latent is than that of the image."""
    encoder: Any = autoencoder.encoder
    return 2 ** (len(encoder.channels) - 1)


def spatial_dims(autoencoder: AutoencoderKL) -> int:
    """Return 2 or 3."""
    convolution: Any = autoencoder.post_quant_conv
    dims: int = convolution.spatial_dims
    return dims
