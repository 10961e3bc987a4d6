"""Stage 2: learn the distribution of target latents, without any condition."""

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from mrcontrast import keys
from mrcontrast.data.contrasts import title_of
from mrcontrast.diffusion.process import DiffusionProcess, fixed_noise
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
        codec: See ``LatentStage``, like all that are not explained here.
        denoiser: Builds the network for spatial_dims, in_channels and out_channels.
        process: As there.
        optimisation: As there.
        store: As there.
        prompt: As there.
        source: As there; only the size of the source counts.
        target: As there.

    Source: Rombach et al. 2022, arXiv 2112.10752, eq. 2.
    """

    uses_source = False

    def __init__(
        self,
        codec: AutoencoderCodec,
        denoiser: Callable[..., nn.Module],
        process: DiffusionProcess,
        optimisation: Optimisation,
        store: LatentStore | None = None,
        prompt: Prompt | None = None,
        source: Sequence[str] = ("flair",),
        target: str = "t1w",
    ) -> None:
        network = denoiser(**codec.network_sizes(0 if prompt is None else prompt.channels))
        parts = codec, network, process, optimisation, store
        super().__init__(*parts, prompt=prompt, source=source, target=target)
        channels_last(self)

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
