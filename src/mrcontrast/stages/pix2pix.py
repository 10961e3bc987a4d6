"""Baseline: a conditional GAN whose generator is the regression's U-Net."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from lightning import LightningModule
from monai.networks.nets import PatchDiscriminator
from torch import Tensor

from mrcontrast import keys
from mrcontrast.metrics.online import masked_psnr
from mrcontrast.networks.memory_format import channels_last
from mrcontrast.networks.regressor import Regressor
from mrcontrast.stages.optimisation import Optimisation, descend


class Pix2Pix(LightningModule):
    """Learn a T1w image that a discriminator takes for real beside its FLAIR.

    Args:
        regressor: The generator.
        discriminator: Judges patches of FLAIR and T1w together, (B, 2 + 2k, *S).
        optimisation: Optimiser and learning-rate schedule of the generator.
        discriminator_optimisation: Those of the discriminator.
        l1_weight: Weight of the L1 beside the adversarial term, whose weight is 1.

    Source: Isola et al. 2017, arXiv 1611.07004, eq. 4, the generator's term in its non-saturating
    form and the discriminator's halved as there. Ours draws nothing, where theirs draws by dropout
    with little effect; it is deterministic, like most reuse of it.
    """

    takes = keys.SOURCE
    training_only = ("discriminator",)

    def __init__(
        self,
        regressor: Regressor,
        discriminator: PatchDiscriminator,
        optimisation: Optimisation,
        discriminator_optimisation: Optimisation,
        l1_weight: float,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.gradient_clip_val: float | None = None  # the trainer's; it cannot clip by itself here
        self.regressor = regressor
        self.discriminator = discriminator
        self.optimisation = optimisation
        self.discriminator_optimisation = discriminator_optimisation
        self.l1_weight = l1_weight
        self.factor = regressor.factor
        self.spatial_dims = regressor.spatial_dims
        self.context_slices = regressor.context_slices
        channels_last(self)

    def noise_shape(self, image_shape: Sequence[int]) -> None:
        """Return None: the generator draws nothing."""

    @torch.no_grad()
    def forward(self, batch: keys.Batch, noise: Tensor | None = None) -> Tensor:
        """Return the T1w image of each FLAIR, (B, 1, *S) in [0, 1]."""
        return self.regressor.image(batch["source"])

    def logits(self, flair: Tensor, t1w: Tensor) -> Tensor:
        """Return the discriminator's verdict on pairs, one logit a patch; above 0 it says real."""
        logits: Tensor = self.discriminator(torch.cat([flair, t1w], dim=1))[-1]
        return logits

    def losses(self, batch: keys.Batch) -> tuple[dict[str, Tensor], Tensor]:
        """Return the generator's weighted terms, scalars, and its image (B, 1, *S)."""
        image = self.regressor(batch["source"])
        terms = {
            "l1": self.l1_weight * F.l1_loss(image, batch["target"]),
            "adversarial": verdict_loss(self.logits(batch["source"], image), real=True),
        }
        return terms, image

    def loss(self, batch: keys.Batch) -> Tensor:
        """Return the generator's loss, a scalar."""
        terms, _ = self.losses(batch)
        return torch.stack(list(terms.values())).sum()

    def told_apart(self, batch: keys.Batch, image: Tensor) -> Tensor:
        """Return the discriminator's loss on synthetic images (B, 1, *S) and on the real ones."""
        fake = verdict_loss(self.logits(batch["source"], image), real=False)
        real = verdict_loss(self.logits(batch["source"], batch["target"]), real=True)
        return (fake + real) / 2

    def training_step(self, batch: keys.Batch, batch_idx: int) -> None:
        """Update the generator, then the discriminator."""
        generator, discriminator = self.optimizers()  # type: ignore[attr-defined]
        schedules: Any = self.lr_schedulers()
        terms, image = self.losses(batch)
        loss = torch.stack(list(terms.values())).sum()
        descend(self, generator, loss, self.gradient_clip_val)
        terms["discriminator"] = self.told_apart(batch, image.detach())
        descend(self, discriminator, terms["discriminator"], self.gradient_clip_val)
        for schedule in schedules:
            schedule.step()
        self.log_dict({f"train/{name}": value for name, value in terms.items()})

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
        """Optimise generator and discriminator apart; Lightning counts the steps of both."""
        steps = self.trainer.estimated_stepping_batches / 2
        ours, theirs = self.regressor.parameters(), self.discriminator.parameters()
        return [
            self.optimisation.configure(ours, steps, self.trainer),
            self.discriminator_optimisation.configure(theirs, steps, self.trainer),
        ]


def verdict_loss(logits: Tensor, real: bool) -> Tensor:
    """Return the cross-entropy of a discriminator's logits with one verdict, a scalar.

    >>> verdict_loss(torch.zeros(2, 1, 3, 3), real=True).item() == torch.tensor(2.0).log().item()
    True
    """
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(real)))
