"""Stage 2: learn the distribution of target latents, without any condition."""

from collections.abc import Sequence

from torch import Tensor

from mrcontrast import keys
from mrcontrast.data.contrasts import title_of
from mrcontrast.diffusion.process import fixed_noise
from mrcontrast.metrics.online import masked_psnr
from mrcontrast.stages.latent_stage import LatentStage, network_time

VALIDATION_TIME = 0.5  # of the one-step denoising that validation scores as an image


class LatentDiffusion(LatentStage):
    """Learn p(target latent). Shapes and ranges: mrcontrast.keys; latents are (B, C, *S / f).

    Arguments: ``LatentStage``, without a condition; only the size of the source counts.

    Source: Rombach et al. 2022, arXiv 2112.10752, eq. 2.
    """

    uses_source = False

    def network(
        self, condition: Sequence[Tensor], z_t: Tensor, t: Tensor, context: Tensor | None = None
    ) -> Tensor:
        """Run the denoiser once; see ``LatentStage.network``."""
        if self.prompt is not None and context is not None:
            z_t = self.prompt.concatenate(z_t, context)
        return self.denoiser(z_t, network_time(t), context=context)

    def validation_step(self, batch: keys.Batch, batch_idx: int) -> None:
        """Log the loss at fixed times and noise, and the masked PSNR of one-step denoising."""
        z, size = self.codec.posterior(batch).mean, len(batch["target"])
        error = self.loss(batch, seed=batch_idx)
        self.log("val/loss", error, prog_bar=True, batch_size=size, sync_dist=True)
        noise = fixed_noise(z, seed=batch_idx)
        z_0 = self.process.denoise(self.predictor(batch), z, noise, VALIDATION_TIME)
        image = self.codec.decode(z_0, batch["target"].shape[2:])
        psnr = masked_psnr(image, batch["target"], batch["brain_mask"]).mean()
        self.log("val/psnr_denoised", psnr, batch_size=size, sync_dist=True)

    def pictures(self, batch: keys.Batch) -> dict[str, Tensor]:
        """Return images (B, 1, *S) in [0, 1] by title; samples are unconditional."""
        images = super().pictures(batch)
        return {title: images[title] for title in (title_of(self.target), "synthetic")}
