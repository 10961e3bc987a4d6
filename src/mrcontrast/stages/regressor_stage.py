"""The shared base of stages whose network makes the target from the source in one call."""

from typing import Unpack

import torch
from lightning import LightningDataModule
from torch import Tensor

from mrcontrast import keys
from mrcontrast.diffusion.sampling import Generators
from mrcontrast.networks.regressor import Regressor
from mrcontrast.networks.tag_prompt import TagPrompt, measure_tags
from mrcontrast.stages.contract import Roles, Stage
from mrcontrast.stages.optimisation import Optimisation


class RegressorStage(Stage):
    """A stage around a ``Regressor``; a stage adds its loss. Shapes and ranges: mrcontrast.keys.

    Args:
        regressor: The network.
        optimisation: Optimiser and learning-rate schedule.
        prompt: Tags that the network listens to, or None.
        roles: See ``Roles``.
    """

    optimisation: Optimisation

    def __init__(
        self,
        regressor: Regressor,
        optimisation: Optimisation,
        prompt: TagPrompt | None = None,
        **roles: Unpack[Roles],
    ) -> None:
        super().__init__(**roles, **regressor.sizes)
        self.regressor = regressor
        self.optimisation = optimisation
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
