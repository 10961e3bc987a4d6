"""Baseline: a conditional GAN whose generator is the regression's U-Net."""

from collections.abc import Callable
from typing import Unpack

import torch
import torch.nn.functional as F
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from mrcontrast import keys
from mrcontrast.networks.fast_kernels import use_fast_kernels
from mrcontrast.networks.regressor import Regressor
from mrcontrast.networks.tag_prompt import TagPrompt
from mrcontrast.stages.contract import Roles
from mrcontrast.stages.optimisation import Optimisation, descend
from mrcontrast.stages.regressor_stage import RegressorStage


class Pix2Pix(RegressorStage):
    """Learn a target image that a discriminator takes for real given the source.

    Args:
        regressor: The generator.
        discriminator: Builds a network for spatial_dims and in_channels that classifies patches of
            source and target together, (B, N (1 + 2k) + 1, *S).
        l1_weight: Weight of the L1 term; the adversarial term has weight 1.
        prompt: Tags that the generator listens to, or None.

    Source: Isola et al. 2017, arXiv 1611.07004, eq. 4, the generator's term in its non-saturating
    form and the discriminator's halved as there. Ours is deterministic, like most reuse of it;
    the dropout noise of the paper has little effect.
    """

    training_only = ("discriminator",)
    clips_gradients = True

    def __init__(
        self,
        regressor: Regressor,
        discriminator: Callable[..., nn.Module],
        optimisation: Optimisation,
        discriminator_optimisation: Optimisation,
        l1_weight: float,
        prompt: TagPrompt | None = None,
        **roles: Unpack[Roles],
    ) -> None:
        super().__init__(regressor, optimisation, prompt, **roles)
        self.automatic_optimization = False
        self.l1_weight = l1_weight
        pair = self.regressor.in_channels + 1
        self.discriminator = discriminator(spatial_dims=self.spatial_dims, in_channels=pair)
        self.discriminator_optimisation = discriminator_optimisation
        use_fast_kernels(self)

    def logits(self, source: Tensor, target: Tensor) -> Tensor:
        """Return the discriminator's logits on pairs, one a patch; above 0 means real."""
        return self.discriminator(torch.cat([source, target], dim=1))[-1]

    def losses(self, batch: keys.Batch) -> tuple[dict[str, Tensor], Tensor]:
        """Return the generator's weighted terms, scalars, and its image (B, 1, *S)."""
        image = self.regressor.raw_of(batch)
        terms = {
            "l1": self.l1_weight * F.l1_loss(image, batch["target"]),
            "adversarial": verdict_loss(self.logits(batch["source"], image), real=True),
        }
        return terms, image

    def loss(self, batch: keys.Batch) -> Tensor:
        """Return the generator's loss, a scalar."""
        return torch.stack(list(self.losses(batch)[0].values())).sum()

    def discriminator_loss(self, batch: keys.Batch, image: Tensor) -> Tensor:
        """Return the discriminator's loss on synthetic images (B, 1, *S) and on the real ones."""
        fake = verdict_loss(self.logits(batch["source"], image), real=False)
        real = verdict_loss(self.logits(batch["source"], batch["target"]), real=True)
        return (fake + real) / 2

    def training_step(self, batch: keys.Batch, batch_idx: int) -> None:
        """Update the generator, then the discriminator."""
        generator, discriminator = self.optimizers()  # type: ignore[attr-defined]
        terms, image = self.losses(batch)
        loss = torch.stack(list(terms.values())).sum()
        descend(self, generator, loss, self.gradient_clip_val)
        terms["discriminator"] = self.discriminator_loss(batch, image.detach())
        descend(self, discriminator, terms["discriminator"], self.gradient_clip_val)
        for schedule in self.lr_schedulers():  # type: ignore[union-attr]
            schedule.step()
        self.log_dict({f"train/{name}": value for name, value in terms.items()})

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Optimise generator and discriminator apart; Lightning counts the steps of both."""
        steps = self.trainer.estimated_stepping_batches / 2
        ours, theirs = self.regressor.parameters(), self.discriminator.parameters()
        return [
            self.optimisation.configure(ours, steps, self.trainer),
            self.discriminator_optimisation.configure(theirs, steps, self.trainer),
        ]


def verdict_loss(logits: Tensor, real: bool) -> Tensor:
    """Return the cross-entropy of a discriminator's logits with one label, a scalar."""
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(real)))
