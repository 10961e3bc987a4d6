"""Baselines that need no gradient: the intensity look-up."""

from typing import Unpack

import torch
from lightning import LightningDataModule
from torch import Tensor

from mrcontrast import keys
from mrcontrast.diffusion.sampling import Generators
from mrcontrast.errors import MrcontrastError
from mrcontrast.stages.contract import Roles, Stage


class IntensityLookup(Stage):
    """Map each level of the first source to the mean target level of the training data.

    A lower bound for every other method: it uses intensities and no anatomy. It has no trainable
    parameter; :meth:`finish` fills the table in one pass over the training items.

    ``levels`` is the number of source levels in [0, 1]; the table is interpolated linearly.
    """

    learns_by_steps = False
    table: Tensor

    def __init__(self, levels: int, spatial_dims: int, **roles: Unpack[Roles]) -> None:
        super().__init__(**roles, spatial_dims=spatial_dims)
        self.levels = levels
        self.register_buffer("table", torch.full((levels,), torch.nan))

    @torch.no_grad()
    def forward(
        self, batch: keys.Batch, noise: Tensor | None = None, generator: Generators = None
    ) -> Tensor:
        """Return the target image (B, 1, *S) in [0, 1] of the table."""
        position = self.first_source(batch).clamp(0, 1) * (self.levels - 1)
        below = position.floor().long().clamp_max(self.levels - 2)
        return torch.lerp(self.table[below], self.table[below + 1], position - below)

    @torch.no_grad()
    def finish(self, datamodule: LightningDataModule) -> None:
        """Fill the table from the brain voxels of all training items; MrcontrastError if none."""
        count, total = torch.zeros(2, self.levels, dtype=torch.float64)
        for batch in datamodule.train_dataloader():
            inside = batch["brain_mask"] > 0.5
            source, target = self.first_source(batch)[inside], batch["target"][inside]
            level = (source.clamp(0, 1) * (self.levels - 1)).round().long()
            count += torch.bincount(level, minlength=self.levels)
            total += torch.bincount(level, weights=target.double(), minlength=self.levels)
        if not count.any():
            raise MrcontrastError(
                "Expected brain voxels in the training split, got none. Check the brain masks."
            )
        self.table.copy_(fill_gaps(total, count))

    def first_source(self, batch: keys.Batch) -> Tensor:
        """Return the image (B, 1, *S) of the first source."""
        return self.source_images(batch)[self.source[0]]


def fill_gaps(total: Tensor, count: Tensor) -> Tensor:
    """Return the mean of each level (L,); a level without voxels takes its nearest neighbour's.

    >>> fill_gaps(torch.tensor([2.0, 0.0, 9.0]), torch.tensor([1.0, 0.0, 3.0])).tolist()
    [2.0, 2.0, 3.0]
    """
    seen = count.nonzero().flatten()
    distance = (torch.arange(len(count))[:, None] - seen[None, :]).abs()
    nearest = seen[distance.argmin(dim=1)]
    return (total[nearest] / count[nearest]).float()
