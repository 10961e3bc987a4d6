"""The frozen autoencoder of later stages: latents of zero mean and unit variance."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan, prod
from typing import Any

import torch
from monai.networks.nets import AutoencoderKL
from torch import Tensor, nn

from mrcontrast import keys
from mrcontrast.errors import MrcontrastError
from mrcontrast.networks.padding import crop, pad_to_multiple
from mrcontrast.networks.tiling import CODEC_PASSES, Tiling

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Posterior:
    """Diagonal Gaussian over the latents of a batch, both (B, C, *S / f)."""

    mean: Tensor
    sigma: Tensor

    def sample(self) -> Tensor:
        """Draw one latent for each item, (B, C, *S / f)."""
        return self.mean + self.sigma * torch.randn(self.mean.shape).to(self.mean)


class AutoencoderCodec(nn.Module):
    """Encode images to standardised latents and decode them, with the autoencoder frozen.

    Each latent channel is shifted and scaled by its mean and standard deviation over training
    batches, which the autoencoder's run stores in the buffers ``mean`` and ``std``; ``psnr_db`` is
    the ceiling of whatever is decoded here, that of its own reconstructions. Images are padded with
    zeros at the end of each axis so that the denoiser can halve the latent.

    Args:
        autoencoder: A trained autoencoder.
        latent_multiple: Latent axes are padded to multiples of this; 2 ** (levels - 1) of the
            denoiser.
        min_autoencoder_psnr_db: ``check`` refuses an autoencoder below this; 0 refuses none.
        tile_voxels: Larger images go through the autoencoder in tiles of this many voxels along
            each axis; None never cuts. See ``Tiling``.
        tile_overlap: Part of a tile that it shares with its neighbour, in (0, 0.5].
        scale: One factor for all latents in the place of the measured statistics, as older recipes
            type it by hand; None measures.
        contrasts: Names of the contrasts that the autoencoder was trained on; None if unknown.

    Source: Rombach et al. 2022, arXiv 2112.10752, appendix G (one scale for all channels; ours has
    one for each, and a shift).
    """

    mean: Tensor
    std: Tensor
    psnr_db: Tensor

    def __init__(
        self,
        autoencoder: AutoencoderKL,
        latent_multiple: int = 1,
        min_autoencoder_psnr_db: float = 0.0,
        tile_voxels: int | None = None,
        tile_overlap: float = 0.25,
        scale: float | None = None,
        contrasts: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        self.scale, self.contrasts = scale, contrasts
        self.autoencoder = autoencoder.eval().requires_grad_(False)
        self.latent_multiple = latent_multiple
        self.min_autoencoder_psnr_db = min_autoencoder_psnr_db
        self.factor, self.spatial_dims = downsampling(autoencoder), spatial_dims(autoencoder)
        self.tiling = Tiling(tile_voxels, tile_overlap, self.multiple, CODEC_PASSES)
        self.register_buffer("mean", torch.zeros(autoencoder.latent_channels))
        self.register_buffer("std", torch.full((autoencoder.latent_channels,), torch.nan))
        self.register_buffer("psnr_db", torch.tensor(torch.nan))

    @property
    def multiple(self) -> int:
        """Image axes are padded to multiples of this."""
        return self.factor * self.latent_multiple

    def latent_shape(self, image_shape: Sequence[int]) -> tuple[int, ...]:
        """Return (C, *S / f) of an image of axes ``image_shape``, after padding."""
        axes = (-(-size // self.multiple) * self.latent_multiple for size in image_shape)
        return (self.autoencoder.latent_channels, *axes)

    def network_sizes(self, further_channels: int = 0) -> dict[str, int]:
        """Return the sizes of a network from noisy latents and further channels to latents."""
        channels = len(self.mean)
        sizes = {"in_channels": channels + further_channels, "out_channels": channels}
        return {"spatial_dims": self.spatial_dims, **sizes}

    def cells(self, z: Tensor) -> tuple[int, ...]:
        """Return how many cells of ``multiple`` image voxels the axes of a latent hold."""
        return tuple(size // self.latent_multiple for size in z.shape[2:])

    def train(self, mode: bool = True) -> "AutoencoderCodec":
        """Stay in evaluation mode: the codec is frozen."""
        return super().train(False)

    def check(self) -> None:
        """Log the PSNR of the autoencoder, an upper bound, and check that later stages can use it.

        MrcontrastError: a latent standard deviation is missing, zero or not finite; or the PSNR is
        below the bar, or unknown where there is a bar.
        """
        if not bool(torch.isfinite(self.std).all() and (self.std > 1e-6).all()):
            raise MrcontrastError(
                f"Expected latent standard deviations above 0, got {self.std.tolist()} "
                "(autoencoder). Train the autoencoder to its end again."
            )
        psnr_db, bar = float(self.psnr_db), self.min_autoencoder_psnr_db
        if bar > 0 and not psnr_db >= bar:
            found = "none measured" if isnan(psnr_db) else f"{psnr_db:.2f} dB"
            raise MrcontrastError(
                f"Expected an autoencoder of {bar:g} dB or more in the brain, got {found} "
                "(its validation items). Train a better one (longer, wider, more latent channels) "
                "or lower stage.codec.min_autoencoder_psnr_db."
            )
        if not isnan(psnr_db):
            log.info("Ceiling: %.2f dB in the brain, the autoencoder's own PSNR", psnr_db)

    @torch.no_grad()
    def moments(self, image: Tensor) -> Posterior:
        """Encode (B, 1, *S) in [0, 1] to the raw posterior, as a latent cache stores it."""
        padded = pad_to_multiple(image, self.multiple)
        cells, network = [size // self.multiple for size in padded.shape[2:]], self.autoencoder
        if not self.tiling.cuts(cells):
            return Posterior(*network.encode(padded))
        both = self.tiling(lambda x: torch.cat(network.encode(x), 1), [padded], cells, network)
        return Posterior(*both.chunk(2, dim=1))

    def posterior(self, batch: keys.Batch) -> Posterior:
        """Return the standardised posterior of the target, from the cache if there is one."""
        if "target_mean" in batch:
            return self.standardise(Posterior(batch["target_mean"], batch["target_sigma"]))
        return self.standardise(self.moments(batch["target"]))

    def encode(self, image: Tensor) -> Tensor:
        """Return the standardised posterior mean, (B, C, *S / f), of images (B, 1, *S)."""
        return self.standardise(self.moments(image)).mean

    @torch.no_grad()
    def decode(self, z: Tensor, image_shape: Sequence[int]) -> Tensor:
        """Decode standardised latents to images (B, 1, *image_shape) in [0, 1]."""
        shift, scale = self.statistics(z.ndim)
        raw, network = z * scale + shift, self.autoencoder
        image = self.tiling(network.decode, [raw], self.cells(z), network)
        return crop(image, image_shape).clamp(0.0, 1.0)

    def standardise(self, raw: Posterior) -> Posterior:
        """Shift and scale a raw posterior to zero mean and unit variance for each channel."""
        shift, scale = self.statistics(raw.mean.ndim)
        return Posterior((raw.mean - shift) / scale, raw.sigma / scale)

    def statistics(self, ndim: int) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation, shaped (C, 1, ...) to meet latents of ``ndim``."""
        shape = (-1,) + (1,) * (ndim - 2)
        mean, std = self.mean, self.std
        if self.scale is not None:
            mean, std = torch.zeros_like(mean), torch.full_like(std, 1 / self.scale)
        return mean.view(shape), std.view(shape)


class LatentStatistics:
    """Mean and standard deviation of each latent channel, over many batches, in float64."""

    def __init__(self) -> None:
        self.count = 0
        self.total: Any = 0.0
        self.squares: Any = 0.0

    def update(self, posterior: Posterior) -> None:
        """Add latents as a posterior draws them: their variance is the mean's plus sigma^2."""
        mean = posterior.mean.double().cpu()
        axes = [0, *range(2, mean.ndim)]
        squares = mean.square() + posterior.sigma.double().cpu().square()
        self.total = mean.sum(axes) + self.total
        self.squares = squares.sum(axes) + self.squares
        self.count += mean.shape[0] * prod(mean.shape[2:])

    def compute(self) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation, both (C,), float32; MrcontrastError without batch."""
        if self.count == 0:
            raise MrcontrastError("Expected training batches, got none (latent statistics).")
        mean = self.total / self.count
        return mean.float(), (self.squares / self.count - mean.square()).clamp_min(0).sqrt().float()


def downsampling(autoencoder: AutoencoderKL) -> int:
    """Return f: how many times smaller each axis of the latent is than that of the image."""
    encoder: Any = autoencoder.encoder
    return 2 ** (len(encoder.channels) - 1)


def spatial_dims(autoencoder: AutoencoderKL) -> int:
    """Return 2 or 3."""
    convolution: Any = autoencoder.post_quant_conv
    return int(convolution.spatial_dims)
