"""What the stages share that see FLAIR as channels beside a noisy T1w latent."""

from collections.abc import Sequence
from typing import Any

import torch
from lightning import LightningModule
from monai.networks.nets import DiffusionModelUNet
from torch import Tensor

from mrcontrast import keys
from mrcontrast.conditions import Condition
from mrcontrast.data.latent_cache import LatentStore
from mrcontrast.diffusion.process import DiffusionProcess, fixed_noise
from mrcontrast.diffusion.sampling import Predict, Sampler
from mrcontrast.errors import UsageError
from mrcontrast.latents import AutoencoderCodec
from mrcontrast.metrics.online import masked_psnr
from mrcontrast.networks.memory_format import channels_last
from mrcontrast.networks.tiling import DENOISER_PASSES, Tiling
from mrcontrast.networks.time import network_time
from mrcontrast.optimisation import Optimisation


class LatentTranslation(LightningModule):
    """Learn p(T1w latent | FLAIR) with one denoiser. Shapes and ranges: mrcontrast.keys.

    As it stands the path of the process leads from the T1w latent to noise. A method with another
    path overrides its ends: ``data_end`` with ``latent``, its inverse, and ``noise_end``. Latents
    are (B, C, *S / f), standardised; conditions (B, K, *S / f).

    Args:
        codec: The frozen autoencoder.
        denoiser: Takes noisy latent and condition as C + K channels; predicts C.
        condition: What the denoiser is told of FLAIR, at the latent's size.
        process: Noise schedule, target, training times and sampler.
        optimisation: Optimiser and learning-rate schedule.
        store: Where latents are kept so that they are encoded once, or None to encode each step.
        context_slices: Neighbouring slices on each side that come with FLAIR in 2D, k.

    Raises:
        UsageError: Condition, codec and denoiser do not fit together.
    """

    source = keys.FLAIR

    def __init__(
        self,
        codec: AutoencoderCodec,
        denoiser: DiffusionModelUNet,
        condition: Condition,
        process: DiffusionProcess,
        optimisation: Optimisation,
        store: LatentStore | None = None,
        context_slices: int = 0,
    ) -> None:
        super().__init__()
        condition.check(codec, context_slices)
        check_channels(denoiser, len(codec.mean) + condition.in_channels)
        self.codec = codec
        self.denoiser = denoiser
        self.condition = condition
        self.process = process
        self.optimisation = optimisation
        self.store = store
        self.context_slices = context_slices
        self.factor = codec.multiple
        self.spatial_dims = codec.spatial_dims
        self.tiling = Tiling(None, codec.tiling.overlap, codec.multiple, DENOISER_PASSES)
        channels_last(self)

    @property
    def sampler(self) -> Sampler:
        """Return how an image is drawn."""
        return self.process.sampler

    def noise_shape(self, image_shape: Sequence[int]) -> tuple[int, ...] | None:
        """Return the shape (C, *S / f) of the noise that an image of axes (*S) starts from."""
        return self.codec.latent_shape(image_shape)

    def data_end(self, z: Tensor, condition: Tensor) -> Tensor:
        """Return what lies at t = 0 for a T1w latent."""
        return z

    def latent(self, data: Tensor, condition: Tensor) -> Tensor:
        """Return the T1w latent for what lies at t = 0."""
        return data

    def noise_end(self, noise: Tensor, condition: Tensor) -> Tensor:
        """Return what lies at t = 1 for standard normal noise."""
        return noise

    @torch.no_grad()
    def forward(self, batch: keys.Batch, noise: Tensor | None = None) -> Tensor:
        """Draw the T1w image of each FLAIR, (B, 1, *S) in [0, 1]."""
        image_shape, condition = batch["flair"].shape[2:], self.condition(batch, self.codec)
        if noise is None:
            noise = torch.randn(len(condition), *self.codec.latent_shape(image_shape))
        start = self.noise_end(noise.to(self.device), condition)
        data = self.process.sample(self.conditioned_on(condition), start)
        return self.image(self.latent(data, condition), condition, batch)

    def image(self, z: Tensor, condition: Tensor, batch: keys.Batch) -> Tensor:
        """Return the image (B, 1, *S) in [0, 1] of a T1w latent."""
        return self.codec.decode(z, batch["flair"].shape[2:])

    def conditioned_on(self, condition: Tensor) -> Predict:
        """Return ``predict(z_t, t)`` for a condition; it fuses tiles if there are any."""

        def fused(z_t: Tensor, t: Tensor) -> Tensor:
            def predict(z: Tensor, part: Tensor) -> Tensor:
                return self.predict(z, t, part)

            return self.tiling(predict, [z_t, condition], self.codec.cells(z_t), self.denoiser)

        return fused

    def predict(self, z_t: Tensor, t: Tensor, condition: Tensor) -> Tensor:
        """Run the denoiser once at times ``t`` (B,) in [0, 1]."""
        return self.denoiser(torch.cat([z_t, condition], dim=1), network_time(t))

    def error(self, batch: keys.Batch, z: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """Return the mean squared error at given latents, noise and times (B,), a scalar."""
        condition = self.condition(batch, self.codec)
        ends = self.data_end(z, condition), self.noise_end(noise, condition)
        return self.process.error(self.conditioned_on(condition), *ends, t)

    def loss(self, batch: keys.Batch) -> Tensor:
        """Return the mean squared error of the prediction, a scalar, at random times."""
        z = self.codec.posterior(batch).sample()
        t = self.process.times.sample(len(z), device=z.device)
        return self.error(batch, z, torch.randn_like(z), t)

    def before_fit(self, datamodule: Any) -> None:  # noqa: ANN401 - any with train_items
        """Check the codec and let training read cached latents in the place of images."""
        self.codec.check()
        if self.store is not None:
            self.store.install(datamodule, self.codec, self.condition)

    def training_step(self, batch: keys.Batch, batch_idx: int) -> Tensor:
        """Return the loss of one batch."""
        loss = self.loss(batch)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: keys.Batch, batch_idx: int) -> None:
        """Log the loss at fixed times and noise, and the masked PSNR of one draw each."""
        z, size = self.codec.posterior(batch).mean, len(batch["t1w"])
        t = (torch.arange(size, device=z.device) + 0.5) / size
        noise = fixed_noise(z, seed=batch_idx)
        self.log("val/loss", self.error(batch, z, noise, t), batch_size=size)
        psnr = masked_psnr(self(batch, noise), batch["t1w"], batch["brain_mask"]).mean()
        self.log("val/psnr", psnr, prog_bar=True, batch_size=size)

    def pictures(self, batch: keys.Batch) -> dict[str, Tensor]:
        """Return images (B, 1, *S) in [0, 1] by title."""
        flair, target = batch["flair"], batch["t1w"]
        shape = (len(flair), *self.codec.latent_shape(flair.shape[2:]))
        synthetic = self(batch, fixed_noise(torch.empty(shape), 0))
        middle = flair[:, flair.shape[1] // 2].unsqueeze(1)
        error = (synthetic - target).abs()
        return {"FLAIR": middle, "synthetic": synthetic, "T1w": target, "error": error}

    def configure_optimizers(self) -> Any:  # noqa: ANN401 - Lightning's own type
        """Optimise the denoiser; the rest is frozen."""
        steps = self.trainer.estimated_stepping_batches
        return self.optimisation.configure(self.denoiser.parameters(), steps, self.trainer)


def check_channels(denoiser: DiffusionModelUNet, expected: int) -> None:
    """Refuse a denoiser that takes another number of channels.

    Raises:
        UsageError: It does.
    """
    if (found := denoiser.in_channels) != expected:
        raise UsageError(
            f"Expected a denoiser of {expected} channels, latent and condition together, got "
            f"{found}. Set stage.denoiser.in_channels={expected}."
        )
