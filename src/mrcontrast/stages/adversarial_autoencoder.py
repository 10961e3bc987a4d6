"""Stage 1 with a patch discriminator in addition to the reconstruction loss."""

from collections.abc import Iterator
from typing import Unpack

from lightning.pytorch.utilities.types import OptimizerLRScheduler
from monai.losses.adversarial_loss import PatchAdversarialLoss
from monai.networks.nets import PatchDiscriminator
from torch import Tensor

from mrcontrast import keys
from mrcontrast.stages.autoencoder import Autoencoder, AutoencoderArguments, total
from mrcontrast.stages.optimisation import Optimisation, descend


class AdversarialAutoencoder(Autoencoder):
    """An autoencoder with an adversarial loss, for sharper images.

    Args:
        discriminator: Classifies patches of (B, 1, *S).
        adversarial_weight: Weight of the generator's adversarial term.
        adversarial_start_step: Steps of the autoencoder before the discriminator joins.

    Source: Esser et al. 2021, arXiv 2012.09841, section 3.1; with least squares (Mao et al. 2017,
    arXiv 1611.04076) and a fixed weight.
    """

    training_only = ("discriminator", "perceptual")
    clips_gradients = True

    def __init__(
        self,
        discriminator: PatchDiscriminator,
        discriminator_optimisation: Optimisation,
        adversarial_weight: float,
        adversarial_start_step: int,
        **arguments: Unpack[AutoencoderArguments],
    ) -> None:
        super().__init__(**arguments)
        self.automatic_optimization = False
        self.discriminator = discriminator
        self.discriminator_optimisation = discriminator_optimisation
        self.adversarial_weight = adversarial_weight
        self.adversarial_start_step = adversarial_start_step
        self.adversarial = PatchAdversarialLoss(criterion="least_squares")

    def training_step(self, batch: keys.Batch, batch_idx: int) -> None:  # type: ignore[override]
        """Update the autoencoder, then the discriminator."""
        image = self.images(batch)
        terms, reconstruction = self.losses(image)
        generator, discriminator = self.optimizers()  # type: ignore[attr-defined]
        our_schedule, their_schedule = self.lr_schedulers()  # type: ignore[misc]
        adversarial = self.trainer.global_step >= self.adversarial_start_step
        if adversarial:
            terms["adversarial"] = self.adversarial_weight * self.generator_loss(reconstruction)
        descend(self, generator, total(terms), self.gradient_clip_val)
        our_schedule.step()
        if adversarial:
            terms["discriminator"] = self.discriminator_loss(reconstruction.detach(), image)
            descend(self, discriminator, terms["discriminator"], self.gradient_clip_val)
            their_schedule.step()
        self.log_dict({f"train/{name}": value for name, value in terms.items()})

    def each_loss(self, batch: keys.Batch) -> Iterator[Tensor]:
        """Yield the losses of a step with the discriminator, in the order of their descents."""
        image = self.images(batch)
        terms, reconstruction = self.losses(image)
        yield total(terms) + self.adversarial_weight * self.generator_loss(reconstruction)
        yield self.discriminator_loss(reconstruction.detach(), image)

    def generator_loss(self, reconstruction: Tensor) -> Tensor:
        """Return the generator's adversarial term: the distance of its logits from real."""
        logits = self.discriminator(reconstruction)[-1]
        return self.adversarial(logits, target_is_real=True, for_discriminator=False)

    def discriminator_loss(self, reconstruction: Tensor, image: Tensor) -> Tensor:
        """Return the discriminator's loss on reconstructed and real images."""
        fake = self.adversarial(self.discriminator(reconstruction)[-1], False, True)
        real = self.adversarial(self.discriminator(image)[-1], True, True)
        return (fake + real) / 2

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Optimise the autoencoder and the discriminator apart; Lightning counts both's steps."""
        steps, start = self.trainer.estimated_stepping_batches, self.adversarial_start_step
        alone, joint = min(steps, start), max(steps - start, 0) / 2
        ours, theirs = self.autoencoder.parameters(), self.discriminator.parameters()
        return [
            self.optimisation.configure(ours, alone + joint, self.trainer),
            self.discriminator_optimisation.configure(theirs, joint, self.trainer),
        ]
