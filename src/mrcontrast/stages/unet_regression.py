"""Baseline: a U-Net that regresses T1w on FLAIR."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from lightning import LightningModule
from torch import Tensor

from mrcontrast import keys
from mrcontrast.metrics.online import masked_psnr
from mrcontrast.networks.regressor import Regressor
from mrcontrast.stages.optimisation import Optimisation


class UNetRegression(LightningModule):
    """Learn the median T1w image given FLAIR. Shapes and ranges: mrcontrast.keys.

    The strongest of the simple methods where PSNR is asked, and the blurriest: what FLAIR leaves
    open it averages.

    Args:
        regressor: The network.
        optimisation: Optimiser and learning-rate schedule.

    Source: Ronneberger et al. 2015, arXiv 1505.04597; with L1 on the image in the place of a
    segmentation loss, and padding so that no border is lost.
    """

    takes = keys.SOURCE

    def __init__(self, regressor: Regressor, optimisation: Optimisation) -> None:
        super().__init__()
        self.regressor = regressor
        self.optimisation = optimisation
        self.factor = regressor.factor
        self.spatial_dims = regressor.spatial_dims
        self.context_slices = regressor.context_slices

    def noise_shape(self, image_shape: Sequence[int]) -> None:
        """Return None: a regression draws nothing."""

    @torch.no_grad()
    def forward(self, batch: keys.Batch, noise: Tensor | None = None) -> Tensor:
        """Return the T1w image of each FLAIR, (B, 1, *S) in [0, 1]."""
        return self.regressor.image(batch["source"])

    def loss(self, batch: keys.Batch) -> Tensor:
        """Return the mean absolute error over the whole image, a scalar."""
        return F.l1_loss(self.regressor(batch["source"]), batch["target"])

    def training_step(self, batch: keys.Batch, batch_idx: int) -> Tensor:
        """Return the loss of one batch."""
        loss = self.loss(batch)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: keys.Batch, batch_idx: int) -> None:
        """Log the L1 and the masked PSNR."""
        image, target, size = self(batch), batch["target"], len(batch["target"])
        self.log("val/loss", F.l1_loss(image, target), batch_size=size, sync_dist=True)
        psnr = masked_psnr(image, target, batch["brain_mask"]).mean()
        self.log("val/psnr", psnr, prog_bar=True, batch_size=size, sync_dist=True)

    def pictures(self, batch: keys.Batch) -> dict[str, Tensor]:
        """Return images (B, 1, *S) in [0, 1] by title."""
        return self.regressor.pictures(batch)

    def configure_optimizers(self) -> Any:  # noqa: ANN401 - Lightning's own type
        """Optimise the network."""
        steps = self.trainer.estimated_stepping_batches
        return self.optimisation.configure(self.regressor.parameters(), steps, self.trainer)
