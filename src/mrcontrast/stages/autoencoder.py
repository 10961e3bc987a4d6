"""Stage 1: compress images to a small, smooth latent and back."""

import math
from collections.abc import Sequence
from itertools import islice
from typing import Any, Required, Unpack

import torch
import torch.nn.functional as F
from lightning import LightningDataModule
from monai.networks.nets import AutoencoderKL
from torch import Tensor, nn

from mrcontrast import keys
from mrcontrast.data.contrasts import title_of
from mrcontrast.diffusion.sampling import Generators
from mrcontrast.errors import UsageError
from mrcontrast.latent.codec import LatentStatistics, Posterior, downsampling, spatial_dims
from mrcontrast.losses.kl import kl_divergence
from mrcontrast.networks.fast_kernels import use_fast_kernels
from mrcontrast.networks.padding import crop, pad_to_multiple
from mrcontrast.stages.autoencoder_card import examine
from mrcontrast.stages.contract import Roles, Stage
from mrcontrast.stages.optimisation import Optimisation


class AutoencoderArguments(Roles, total=False):
    """Arguments of ``Autoencoder``."""

    autoencoder: Required[AutoencoderKL]
    optimisation: Required[Optimisation]
    kl_weight: Required[float]
    perceptual: nn.Module | None
    perceptual_weight: float
    contrasts: Sequence[str] | None
    initial_sigma: float | None
    statistics_batches: int


class Autoencoder(Stage):
    """Learn a KL-regularised latent of one or more contrasts. Shapes: mrcontrast.keys.

    Args:
        autoencoder: The network; one input and one output channel.
        kl_weight: Weight of the divergence, averaged over latent values.
        perceptual: Loss of two images (B, 1, *S), or None.
        perceptual_weight: Weight of that loss.
        contrasts: Names of the images to learn from, of the target or the source; None for the
            target. Include a source if a later stage is to be conditioned on its latents.
        initial_sigma: Initial deviation of the posterior, see ``initialise``; None keeps that of
            the network.
        statistics_batches: Batches over which the latents' mean and deviation are measured.

    ``finish`` sets ``report_card`` and, in buffers that later stages copy, mean and deviation (C,)
    of the latents of training items and ``psnr_db`` of validation items.

    Source: Rombach et al. 2022, arXiv 2112.10752, section 3.1; with L1, and the KL averaged over
    latent values where theirs is summed.
    """

    takes = keys.TARGET
    training_only: tuple[str, ...] = ("perceptual",)
    optimisation: Optimisation
    latent_mean: Tensor
    latent_std: Tensor
    psnr_db: Tensor

    def __init__(
        self,
        autoencoder: AutoencoderKL,
        optimisation: Optimisation,
        kl_weight: float,
        perceptual: nn.Module | None = None,
        perceptual_weight: float = 0.0,
        contrasts: Sequence[str] | None = None,
        initial_sigma: float | None = 0.01,
        statistics_batches: int = 50,
        **roles: Unpack[Roles],
    ) -> None:
        sizes = {"spatial_dims": spatial_dims(autoencoder), "factor": downsampling(autoencoder)}
        super().__init__(**roles, **sizes)
        self.contrasts = (self.target,) if contrasts is None else tuple(contrasts)
        if unknown := sorted(set(self.contrasts) - {*self.source, self.target}):
            known = ", ".join([self.target, *self.source])
            raise UsageError(
                f"Expected contrasts among {known}, got {unknown[0]} "
                "(stage.contrasts). Add it to data.source or leave it out."
            )
        self.autoencoder, self.optimisation = autoencoder, optimisation
        self.kl_weight, self.perceptual_weight = kl_weight, perceptual_weight
        self.perceptual = perceptual
        self.initial_sigma, self.statistics_batches = initial_sigma, statistics_batches
        self.register_buffer("latent_mean", torch.zeros(autoencoder.latent_channels))
        self.register_buffer("latent_std", torch.full((autoencoder.latent_channels,), torch.nan))
        use_fast_kernels(self)
        self.register_buffer("psnr_db", torch.tensor(torch.nan))

    @property
    def trained(self) -> nn.Module:
        """The autoencoder without its loss."""
        return self.autoencoder

    def initialise(self) -> None:
        """Let the posterior's deviation start at ``initial_sigma`` everywhere, if it is given.

        As MONAI builds it sigma starts near 1, where the mean is near 0: the decoder sees noise,
        learns the mean image, and the encoder needs hundreds of steps to outgrow it. The KL term
        raises sigma again as far as its weight asks.
        """
        if self.initial_sigma is not None:
            log_variance: Any = self.autoencoder.quant_conv_log_sigma
            nn.init.zeros_(log_variance.conv.weight)
            nn.init.constant_(log_variance.conv.bias, 2 * math.log(self.initial_sigma))

    @torch.no_grad()
    def forward(
        self, batch: keys.Batch, noise: Tensor | None = None, generator: Generators = None
    ) -> Tensor:
        """Reconstruct the target, (B, 1, *S) in [0, 1], from the posterior mean."""
        return self.decode(self.posterior(batch["target"]).mean, batch["target"].shape[2:])

    def decode(self, z: Tensor, image_shape: Sequence[int]) -> Tensor:
        """Decode raw latents (B, C, *S / f) to images (B, 1, *image_shape) in [0, 1]."""
        return crop(self.autoencoder.decode(z), image_shape).clamp(0.0, 1.0)

    def posterior(self, image: Tensor) -> Posterior:
        """Encode images (B, 1, *S) to their raw posterior."""
        return Posterior(*self.autoencoder.encode(pad_to_multiple(image, self.factor)))

    def images(self, batch: keys.Batch) -> Tensor:
        """Stack the images to learn from, (B * contrasts, 1, *S), without neighbouring slices."""
        images = {self.target: batch["target"]}
        if set(self.contrasts) - {self.target}:
            images |= self.source_images(batch)
        return torch.cat([images[name] for name in self.contrasts])

    def losses(self, image: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Return the weighted terms of the loss, scalars, and the reconstruction (N, 1, *S)."""
        posterior = self.posterior(image)
        reconstruction = crop(self.autoencoder.decode(posterior.sample()), image.shape[2:])
        terms = {
            "l1": F.l1_loss(reconstruction, image),
            "kl": self.kl_weight * kl_divergence(posterior.mean, posterior.sigma),
        }
        if self.perceptual is not None:
            distance = self.perceptual(reconstruction.clamp(0, 1), image)
            terms["perceptual"] = self.perceptual_weight * distance
        return terms, reconstruction

    def loss(self, batch: keys.Batch) -> Tensor:
        """Return the sum of the weighted terms, a scalar."""
        return total(self.losses(self.images(batch))[0])

    def training_step(self, batch: keys.Batch, batch_idx: int) -> Tensor:
        """Return the loss of one batch."""
        terms, _ = self.losses(self.images(batch))
        loss = total(terms)
        self.log_dict({f"train/{name}": value for name, value in terms.items()})
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def pictures(self, batch: keys.Batch) -> dict[str, Tensor]:
        """Return images (B, 1, *S) in [0, 1] by title."""
        return {title_of(self.target): batch["target"], "reconstruction": self(batch)}

    @torch.no_grad()
    def finish(self, datamodule: LightningDataModule) -> None:
        """Measure the latent statistics and the report card."""
        self.measure_latents(datamodule)
        self.report_card = examine(self, datamodule)
        self.psnr_db.fill_(self.report_card["psnr_db"])

    def measure_latents(self, datamodule: LightningDataModule) -> None:
        """Store mean and deviation of the latents of training items."""
        statistics = LatentStatistics()
        for batch in islice(datamodule.train_dataloader(), self.statistics_batches):
            statistics.update(self.posterior(batch["target"].to(self.device)))
        mean, std = statistics.compute()
        self.latent_mean.copy_(mean)
        self.latent_std.copy_(std)


def total(terms: dict[str, Tensor]) -> Tensor:
    """Return the sum of the weighted terms of a loss, a scalar."""
    return torch.stack(list(terms.values())).sum()
