"""Stage 2: learn the distribution of target latents, without any condition."""

from collections.abc import Sequence

import torch
from monai.networks.nets import DiffusionModelUNet
from torch import Tensor

from mrcontrast import keys
from mrcontrast.data.contrasts import title_of
from mrcontrast.diffusion.process import DiffusionProcess, fixed_noise
from mrcontrast.diffusion.sampling import Generators
from mrcontrast.latent.cache import LatentStore
from mrcontrast.latent.codec import AutoencoderCodec
from mrcontrast.metrics.online import masked_psnr
from mrcontrast.networks.memory_format import channels_last
from mrcontrast.networks.prompt import Prompt
from mrcontrast.networks.time import network_time
from mrcontrast.stages.latent_stage import LatentStage
from mrcontrast.stages.optimisation import Optimisation

VALIDATION_TIME = 0.5  # of the one-step denoising that validation scores as an image


class LatentDiffusion(LatentStage):
    """Learn p(target latent). Shapes and ranges: mrcontrast.keys; latents are (B, C, *S / f).

    Args:
        codec: As in ``LatentStage``, like all that say "as there".
        denoiser: As there.
        process: As there.
        optimisation: As there.
        store: As there.
        prompt: Context of the denoiser's cross-attention, or None if it has none.
        source: See ``Stage``; only the size of the source counts.
        target: See ``Stage``.

    Source: Rombach et al. 2022, arXiv 2112.10752, eq. 2.
    """

    uses_source = False

    def __init__(
        self,
        codec: AutoencoderCodec,
        denoiser: DiffusionModelUNet,
        process: DiffusionProcess,
        optimisation: Optimisation,
        store: LatentStore | None = None,
        prompt: Prompt | None = None,
        source: Sequence[str] = ("flair",),
        target: str = "t1w",
    ) -> None:
        parts = codec, denoiser, process, optimisation, store
        super().__init__(*parts, source=source, target=target)
        self.prompt = prompt
        channels_last(self)

    @torch.no_grad()
    def forward(
        self, batch: keys.Batch, noise: Tensor | None = None, generator: Generators = None
    ) -> Tensor:
        """Sample target images, (B, 1, *S) in [0, 1], of the size of the batch's source."""
        if noise is None:
            noise = torch.randn(self.batch_shape(batch))
        z = self.process.sample(self.fused, noise.to(self.device), generator)
        return self.codec.decode(z, batch["source"].shape[2:])

    @property
    def guidance(self) -> float | None:
        """Weight of the guidance by the prompt, None without a prompt."""
        return None if self.prompt is None else self.prompt.guidance

    def fused(self, z_t: Tensor, t: Tensor) -> Tensor:
        """Run the denoiser as a draw does, guided, in tiles if there are any; see ``Tiling``."""

        def predict(z: Tensor) -> Tensor:
            if self.prompt is None:
                return self.predict(z, t)
            return self.prompt.guided(lambda context: self.told(z, t, context), len(z))

        return self.tiling(predict, [z_t], self.codec.cells(z_t), self.denoiser)

    def predict(self, z_t: Tensor, t: Tensor) -> Tensor:
        """Run the denoiser once at times ``t`` (B,) in [0, 1], under the prompt if there is one."""
        if self.prompt is None:
            return self.denoiser(z_t, network_time(t))
        return self.told(z_t, t, self.prompt(len(z_t)))

    def told(self, z_t: Tensor, t: Tensor, context: Tensor) -> Tensor:
        """Run the denoiser once under a context (B, N, D)."""
        assert self.prompt is not None
        z_t = self.prompt.beside(z_t, context)
        return self.denoiser(z_t, network_time(t), context=context)

    def loss(self, batch: keys.Batch) -> Tensor:
        """Return the mean squared error of the prediction, a scalar, at random times."""
        return self.process.loss(self.predict, self.codec.posterior(batch).sample())

    def validation_step(self, batch: keys.Batch, batch_idx: int) -> None:
        """Log the loss at fixed times and noise, and the masked PSNR of one-step denoising."""
        z, size = self.codec.posterior(batch).mean, len(batch["target"])
        error = self.process.validation_error(self.predict, z, seed=batch_idx)
        self.log("val/loss", error, prog_bar=True, batch_size=size, sync_dist=True)
        noise = fixed_noise(z, seed=batch_idx)
        z_0 = self.process.denoise(self.predict, z, noise, VALIDATION_TIME)
        image = self.codec.decode(z_0, batch["target"].shape[2:])
        psnr = masked_psnr(image, batch["target"], batch["brain_mask"]).mean()
        self.log("val/psnr_denoised", psnr, batch_size=size, sync_dist=True)

    def pictures(self, batch: keys.Batch) -> dict[str, Tensor]:
        """Return images (B, 1, *S) in [0, 1] by title; samples are unconditional."""
        noise = fixed_noise(torch.empty(self.batch_shape(batch)), 0)
        return {title_of(self.target): batch["target"], "sample": self(batch, noise)}
