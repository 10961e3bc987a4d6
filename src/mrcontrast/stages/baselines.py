"""Baselines that need no gradient: the intensity look-up."""

from collections.abc import Sequence
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor

from mrcontrast import keys
from mrcontrast.errors import MrcontrastError
from mrcontrast.metrics.online import masked_psnr


class IntensityLookup(LightningModule):
    """Map each FLAIR level to the mean T1w level that training data has there.

    The least that any method must beat: it knows intensities and no anatomy. It has no trainable
    parameter; :meth:`finish` fills the table in one pass over the training items.

    Args:
        levels: FLAIR levels in [0, 1]; between two the table is interpolated linearly.
    """

    takes = keys.SOURCE
    context_slices = 0
    factor = 1
    table: Tensor

    def __init__(self, levels: int, spatial_dims: int) -> None:
        super().__init__()
        self.levels = levels
        self.spatial_dims = spatial_dims
        self.register_buffer("table", torch.full((levels,), torch.nan))

    def noise_shape(self, image_shape: Sequence[int]) -> None:
        """Return None: a table draws nothing."""

    @torch.no_grad()
    def forward(self, batch: keys.Batch, noise: Tensor | None = None) -> Tensor:
        """Return the T1w image (B, 1, *S) in [0, 1] that the table gives."""
        position = middle_slice(batch["source"]).clamp(0, 1) * (self.levels - 1)
        below = position.floor().long().clamp_max(self.levels - 2)
        weight = position - below
        return torch.lerp(self.table[below], self.table[below + 1], weight)

    @torch.no_grad()
    def finish(self, datamodule: Any) -> None:  # noqa: ANN401 - any data module
        """Fill the table from the brain voxels of all training items.

        Raises:
            MrcontrastError: There is no brain voxel to learn from.
        """
        count, total = torch.zeros(2, self.levels, dtype=torch.float64)
        for batch in datamodule.train_dataloader():
            inside = batch["brain_mask"] > 0.5
            flair, t1w = middle_slice(batch["source"])[inside], batch["target"][inside]
            level = (flair.clamp(0, 1) * (self.levels - 1)).round().long()
            count += torch.bincount(level, minlength=self.levels)
            total += torch.bincount(level, weights=t1w.double(), minlength=self.levels)
        if not count.any():
            raise MrcontrastError(
                "Expected brain voxels in the training split, got none. Check the brain masks."
            )
        self.table.copy_(fill_gaps(total, count))

    def validation_step(self, batch: keys.Batch, batch_idx: int) -> None:
        """Log the masked PSNR."""
        psnr = masked_psnr(self(batch), batch["target"], batch["brain_mask"]).mean()
        size = len(batch["target"])
        self.log("val/psnr", psnr, prog_bar=True, batch_size=size, sync_dist=True)

    def pictures(self, batch: keys.Batch) -> dict[str, Tensor]:
        """Return images (B, 1, *S) in [0, 1] by title."""
        flair = middle_slice(batch["source"])
        return {"FLAIR": flair, "look-up": self(batch), "T1w": batch["target"]}

    def configure_optimizers(self) -> None:
        """Return None: there is nothing to optimise."""


def middle_slice(flair: Tensor) -> Tensor:
    """Return the slice itself, (B, 1, *S), of a FLAIR slab (B, 1 + 2k, *S)."""
    return flair[:, flair.shape[1] // 2].unsqueeze(1)


def fill_gaps(total: Tensor, count: Tensor) -> Tensor:
    """Return the mean of each level (L,); a level without voxels takes its nearest neighbour's.

    >>> fill_gaps(torch.tensor([2.0, 0.0, 9.0]), torch.tensor([1.0, 0.0, 3.0])).tolist()
    [2.0, 2.0, 3.0]
    """
    seen = count.nonzero().flatten()
    distance = (torch.arange(len(count))[:, None] - seen[None, :]).abs()
    nearest = seen[distance.argmin(dim=1)]
    return (total[nearest] / count[nearest]).float()
