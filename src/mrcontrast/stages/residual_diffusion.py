"""Diffusion of the residual of a regression, in latent space."""

from itertools import islice
from typing import Unpack

import torch
from lightning import LightningDataModule
from torch import Tensor

from mrcontrast import keys
from mrcontrast.latent.codec import LatentStatistics, Posterior
from mrcontrast.stages.latent_stage import LatentArguments
from mrcontrast.stages.latent_translation import LatentTranslation

STATISTICS_BATCHES = 50
LEAST_STD = 1e-3  # of a residual, in latent units; a regression without error has none


class ResidualDiffusion(LatentTranslation):
    """Learn p(target latent - latent of a regression's image | source).

    The residual is divided by its standard deviation for each channel, measured on training items
    before the first step, so that the process gets data of unit variance. A regression that
    overfits leaves too small a residual there, and samples differ too little. The sample gets back
    the detail of the regression's image that the autoencoder loses: only the residual loses detail,
    and a residual of 0 gives the regression itself. Arguments: ``LatentTranslation``; the
    condition's anchor is the latent of the regression's image.

    Source: Mardani et al. 2023, "CorrDiff", arXiv 2309.15214, eq. 3 and 4; ours in latent space,
    where the denoiser gets the mean and the source, and added to the mean in the image.
    """

    needs_anchor = True
    residual_std: Tensor

    def __init__(self, **arguments: Unpack[LatentArguments]) -> None:
        super().__init__(**arguments)
        self.register_buffer("residual_std", torch.full((len(self.codec.mean),), torch.nan))

    def data_end(self, z: Tensor, batch: keys.Batch) -> Tensor:
        """Return the residual of a target's latent, of unit variance."""
        return (z - batch["anchor"]) / self.scale(z)

    def latent(self, data: Tensor, batch: keys.Batch) -> Tensor:
        """Add a residual to the mean."""
        return batch["anchor"] + self.scale(data) * data

    def scale(self, like: Tensor) -> Tensor:
        """Return the residual's standard deviation, shaped (C, 1, ...) to meet latents."""
        return self.residual_std.view(-1, *[1] * (like.ndim - 2))

    @torch.no_grad()
    def before_fit(self, datamodule: LightningDataModule) -> None:
        """Install the latents, then measure the residual's standard deviation."""
        super().before_fit(datamodule)
        assert self.condition is not None
        statistics = LatentStatistics()
        for batch in islice(datamodule.train_dataloader(), STATISTICS_BATCHES):
            posterior = self.codec.posterior(batch)
            anchor = self.condition.compute(batch, self.codec)["anchor"]
            statistics.update(Posterior(posterior.mean - anchor, posterior.sigma))
        self.residual_std.copy_(statistics.compute()[1].clamp_min(LEAST_STD))
