"""Baseline: a U-Net that regresses the target on the source."""

from typing import Unpack

import torch
from lightning import LightningDataModule
from torch import Tensor

from mrcontrast import keys
from mrcontrast.diffusion.sampling import Generators
from mrcontrast.losses.brain import brain_error
from mrcontrast.networks.regressor import Regressor
from mrcontrast.networks.tag_prompt import TagPrompt, measure_tags
from mrcontrast.stages.contract import Roles, Stage
from mrcontrast.stages.optimisation import Optimisation


class UNetRegression(Stage):
    """Learn the mean target image given the source. Shapes and ranges: mrcontrast.keys.

    The best of the simple methods in PSNR, and the softest: it averages over all images that fit
    the source.

    Source: Ronneberger et al. 2015, arXiv 1505.04597; with squared errors in the place of a
    segmentation loss, see ``brain_error``, and padding so that no border is lost.
    """

    def __init__(
        self,
        regressor: Regressor,
        optimisation: Optimisation,
        prompt: TagPrompt | None = None,
        **roles: Unpack[Roles],
    ) -> None:
        super().__init__(**roles, **regressor.sizes)
        self.regressor, self.optimisation = regressor, optimisation
        if prompt is not None:
            regressor.listen(prompt)

    @property
    def prompt(self) -> TagPrompt | None:
        """Tags that the network listens to."""
        return self.regressor.prompt

    def before_fit(self, datamodule: LightningDataModule) -> None:
        """Measure the tags of the training data."""
        measure_tags(self, datamodule)

    @torch.no_grad()
    def forward(
        self, batch: keys.Batch, noise: Tensor | None = None, generator: Generators = None
    ) -> Tensor:
        """Return the target image of each item, (B, 1, *S) in [0, 1]."""
        return self.regressor.image_of(batch)

    def loss(self, batch: keys.Batch) -> Tensor:
        """Return ``brain_error``, a scalar."""
        return brain_error(self.regressor.raw_of(batch), batch["target"], batch["brain_mask"])
