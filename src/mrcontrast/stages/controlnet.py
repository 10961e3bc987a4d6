"""Stage 3: steer the frozen latent diffusion model by FLAIR."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from lightning import LightningModule
from monai.networks.nets import ControlNet, DiffusionModelUNet
from torch import Tensor

from mrcontrast import keys
from mrcontrast.conditions import Condition
from mrcontrast.data.latent_cache import LatentStore
from mrcontrast.diffusion.process import DiffusionProcess, fixed_noise
from mrcontrast.diffusion.sampling import Predict, Sampler
from mrcontrast.latents import AutoencoderCodec
from mrcontrast.metrics.online import masked_psnr
from mrcontrast.networks.control import embedded_once, start_from_denoiser
from mrcontrast.networks.memory_format import channels_last
from mrcontrast.networks.prompt import Prompt
from mrcontrast.networks.tiling import DENOISER_PASSES, Tiling
from mrcontrast.networks.time import network_time
from mrcontrast.optimisation import Optimisation


class ControlNetDiffusion(LightningModule):
    """Learn p(T1w latent | FLAIR). Shapes and ranges: mrcontrast.keys; latents (B, C, *S / f).

    Args:
        codec: The frozen autoencoder.
        denoiser: The trained denoiser of stage 2; frozen here.
        controlnet: Network that adds FLAIR's residuals to the denoiser's features.
        condition: What the ControlNet is told of FLAIR.
        process: Noise schedule and target of stage 2; training times and sampler of this one.
        optimisation: Optimiser and learning-rate schedule.
        store: Where latents are kept so that they are encoded once, or None to encode each step.
        context_slices: Neighbouring slices on each side that come with FLAIR in 2D, k.
        prompt: What cross-attention is told, that of stage 2, or None if there is none.

    Source: Zhang et al. 2023, arXiv 2302.05543, eq. 5, on the latents of Rombach et al. 2022.
    """

    source = keys.FLAIR

    def __init__(  # noqa: PLR0913 - nine parts, each a choice of the config
        self,
        codec: AutoencoderCodec,
        denoiser: DiffusionModelUNet,
        controlnet: ControlNet,
        condition: Condition,
        process: DiffusionProcess,
        optimisation: Optimisation,
        store: LatentStore | None = None,
        context_slices: int = 0,
        prompt: Prompt | None = None,
    ) -> None:
        super().__init__()
        condition.check(codec, context_slices)
        self.codec = codec
        self.denoiser = denoiser.eval().requires_grad_(False)
        self.controlnet = controlnet
        self.prompt = prompt
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

    def noise_shape(self, image_shape: Sequence[int]) -> tuple[int, ...]:
        """Return the shape (C, *S / f) of the noise that an image of axes (*S) starts from."""
        return self.codec.latent_shape(image_shape)

    @torch.no_grad()
    def forward(self, batch: keys.Batch, noise: Tensor | None = None) -> Tensor:
        """Draw the T1w image of each FLAIR, (B, 1, *S) in [0, 1]."""
        flair = batch["flair"]
        if noise is None:
            noise = torch.randn(len(flair), *self.noise_shape(flair.shape[2:]))
        with self.steered(batch) as predict:
            z = self.process.sample(predict, noise.to(self.device))
        return self.codec.decode(z, flair.shape[2:])

    @property
    def calls_a_draw(self) -> int:
        """Return how often ControlNet and denoiser run for an image."""
        return self.sampler.num_calls * (self.prompt.calls if self.prompt else 1)

    def conditioned_on(self, batch: keys.Batch) -> Predict:
        """Return ``predict(z_t, t)`` for the FLAIR of a batch; it fuses tiles if there are any."""
        return self.fused(self.condition(batch, self.codec), self.predict)

    @contextmanager
    def steered(self, batch: keys.Batch) -> Iterator[Predict]:
        """Yield the ``predict(z_t, t)`` of a draw, guided; whole images are embedded only once."""
        condition = self.condition(batch, self.codec)
        shape = self.noise_shape(batch["flair"].shape[2:])
        if self.tiling.cuts([size // self.codec.latent_multiple for size in shape[1:]]):
            yield self.fused(condition, self.guided)
            return
        with embedded_once(self.controlnet, condition) as embedded:
            yield self.fused(embedded, self.guided)

    def fused(self, condition: Tensor, run: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Predict:
        """Return ``predict(z_t, t)`` for what the ControlNet takes, by ``run`` on each tile."""

        def predict(z_t: Tensor, t: Tensor) -> Tensor:
            def on_tile(z: Tensor, part: Tensor) -> Tensor:
                return run(z, t, part)

            return self.tiling(on_tile, [z_t, condition], self.codec.cells(z_t), self)

        return predict

    def predict(self, z_t: Tensor, t: Tensor, condition: Tensor) -> Tensor:
        """Run ControlNet and denoiser once at times ``t`` (B,) in [0, 1]."""
        context = None if self.prompt is None else self.prompt(len(z_t))
        return self.told(z_t, t, condition, context)

    def guided(self, z_t: Tensor, t: Tensor, condition: Tensor) -> Tensor:
        """Return the prediction that a draw takes: FLAIR in both branches of the guidance."""
        if self.prompt is None:
            return self.predict(z_t, t, condition)
        return self.prompt.guided(lambda told: self.told(z_t, t, condition, told), len(z_t))

    def told(self, z_t: Tensor, t: Tensor, condition: Tensor, context: Tensor | None) -> Tensor:
        """Run both networks once under a context (B, N, D), or none."""
        time = network_time(t)
        down, middle = self.controlnet(z_t, time, condition, context=context)
        beside = z_t if self.prompt is None or context is None else self.prompt.beside(z_t, context)
        return self.denoiser(
            beside,
            time,
            context=context,
            down_block_additional_residuals=tuple(down),
            mid_block_additional_residual=middle,
        )

    def loss(self, batch: keys.Batch) -> Tensor:
        """Return the mean squared error of the prediction, a scalar, at random times."""
        z = self.codec.posterior(batch).sample()
        return self.process.loss(self.conditioned_on(batch), z)

    def initialise(self) -> None:
        """Start the ControlNet from the denoiser's weights, once these are there."""
        start_from_denoiser(self.controlnet, self.denoiser)

    def before_fit(self, datamodule: Any) -> None:  # noqa: ANN401 - any with train_items
        """Check the codec and let training read cached latents in the place of images."""
        self.codec.check()
        if self.store is not None:
            self.store.install(datamodule, self.codec, self.condition)

    def on_train_epoch_start(self) -> None:
        """Keep the frozen denoiser in evaluation mode."""
        self.denoiser.eval()

    def training_step(self, batch: keys.Batch, batch_idx: int) -> Tensor:
        """Return the loss of one batch."""
        loss = self.loss(batch)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: keys.Batch, batch_idx: int) -> None:
        """Log the loss at fixed times and noise, and the masked PSNR of one draw each."""
        z, size = self.codec.posterior(batch).mean, len(batch["t1w"])
        predict = self.conditioned_on(batch)
        error = self.process.validation_error(predict, z, seed=batch_idx)
        self.log("val/loss", error, batch_size=size, sync_dist=True)
        image = self(batch, fixed_noise(z, seed=batch_idx))
        psnr = masked_psnr(image, batch["t1w"], batch["brain_mask"]).mean()
        self.log("val/psnr", psnr, prog_bar=True, batch_size=size, sync_dist=True)

    def pictures(self, batch: keys.Batch) -> dict[str, Tensor]:
        """Return images (B, 1, *S) in [0, 1] by title."""
        flair, target = batch["flair"], batch["t1w"]
        shape = (len(flair), *self.noise_shape(flair.shape[2:]))
        synthetic = self(batch, fixed_noise(torch.empty(shape), 0))
        middle = flair[:, flair.shape[1] // 2].unsqueeze(1)
        error = (synthetic - target).abs()
        return {"FLAIR": middle, "synthetic": synthetic, "T1w": target, "error": error}

    def configure_optimizers(self) -> Any:  # noqa: ANN401 - Lightning's own type
        """Optimise the ControlNet; denoiser and codec are frozen."""
        steps = self.trainer.estimated_stepping_batches
        return self.optimisation.configure(self.controlnet.parameters(), steps, self.trainer)
