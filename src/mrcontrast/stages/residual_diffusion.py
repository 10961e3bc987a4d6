"""Diffusion of what a regression leaves over, in latent space."""

from collections.abc import Sequence
from itertools import islice

import torch
from lightning import LightningDataModule
from monai.networks.nets import DiffusionModelUNet
from torch import Tensor

from mrcontrast import keys
from mrcontrast.diffusion.process import DiffusionProcess
from mrcontrast.latent.cache import LatentStore
from mrcontrast.latent.codec import AutoencoderCodec, LatentStatistics, Posterior
from mrcontrast.latent.conditions import AnchoredCondition
from mrcontrast.stages.latent_translation import LatentTranslation
from mrcontrast.stages.optimisation import Optimisation

STATISTICS_BATCHES = 50
LEAST_STD = 1e-3  # of a residual, in latent units; a regression without error has none


class ResidualDiffusion(LatentTranslation):
    """Learn p(T1w latent - latent of a regression's image | FLAIR): the regression is the mean.

    The residual is divided by its standard deviation for each channel, measured on training items
    before the first step, so that the process meets data of unit variance. A regression that knows
    its training subjects by heart leaves too little over there, and draws differ too little.

    Args:
        codec: As all arguments but one, see ``LatentTranslation``.
        denoiser: As there.
        condition: As there; its anchor is the latent of the regression's image.
        process: As there.
        optimisation: As there.
        store: As there.
        context_slices: As there.
        source: See ``Stage``.
        target: See ``Stage``.

    Source: Mardani et al. 2023, "CorrDiff", arXiv 2309.15214, eq. 3 and 4; ours in latent space,
    where the denoiser sees the mean and FLAIR, and added to the mean in the image.
    """

    condition: AnchoredCondition
    residual_std: Tensor

    def __init__(  # noqa: PLR0913 - each a choice of the config
        self,
        codec: AutoencoderCodec,
        denoiser: DiffusionModelUNet,
        condition: AnchoredCondition,
        process: DiffusionProcess,
        optimisation: Optimisation,
        store: LatentStore | None = None,
        context_slices: int = 0,
        source: Sequence[str] = ("flair",),
        target: str = "t1w",
    ) -> None:
        parts = codec, denoiser, condition, process, optimisation, store, context_slices
        super().__init__(*parts, source, target)
        self.register_buffer("residual_std", torch.full((len(codec.mean),), torch.nan))

    def data_end(self, z: Tensor, condition: Tensor) -> Tensor:
        """Return the residual of a T1w latent, of unit variance."""
        return (z - self.condition.anchor(condition, self.codec)) / self.scale(z)

    def latent(self, data: Tensor, condition: Tensor) -> Tensor:
        """Add a residual to the mean."""
        return self.condition.anchor(condition, self.codec) + self.scale(data) * data

    def prepare(self, batch: keys.Batch) -> keys.Batch:
        """Return the batch with what decoding loses of the regression's image as ``lost``."""
        batch = super().prepare(batch)
        if "lost" in batch:
            return batch
        regressed = self.condition.image(batch["source"])
        anchor = self.condition.anchor(self.condition(batch, self.codec), self.codec)
        lost = regressed - self.codec.decode(anchor, regressed.shape[2:])
        return {**batch, "lost": lost}

    def network_calls(self, samples: int) -> int:
        """Return the network calls; the regression runs for its latent, and for itself."""
        return super().network_calls(samples) + int(self.condition.calls)

    def image(self, z: Tensor, batch: keys.Batch) -> Tensor:
        """Return the decoded latent with what decoding loses of the regression's image.

        So the autoencoder blurs the residual alone, and no residual is the regression itself.
        """
        return (super().image(z, batch) + batch["lost"]).clamp(0, 1)

    def scale(self, like: Tensor) -> Tensor:
        """Return the residual's standard deviation, shaped (C, 1, ...) to meet latents."""
        return self.residual_std.view(-1, *[1] * (like.ndim - 2))

    @torch.no_grad()
    def before_fit(self, datamodule: LightningDataModule) -> None:
        """Install the latents, then measure the residual's standard deviation."""
        super().before_fit(datamodule)
        statistics = LatentStatistics()
        for batch in islice(datamodule.train_dataloader(), STATISTICS_BATCHES):
            posterior = self.codec.posterior(batch)
            anchor = self.condition.anchor(self.condition(batch, self.codec), self.codec)
            statistics.update(Posterior(posterior.mean - anchor, posterior.sigma))
        self.residual_std.copy_(statistics.compute()[1].clamp_min(LEAST_STD))
