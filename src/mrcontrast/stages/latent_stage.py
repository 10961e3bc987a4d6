"""What the stages share that diffuse the latents of a frozen autoencoder."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from lightning import LightningModule
from monai.networks.nets import DiffusionModelUNet
from torch import Tensor, nn

from mrcontrast import keys
from mrcontrast.diffusion.process import DiffusionProcess, fixed_noise
from mrcontrast.diffusion.sampling import Sampler
from mrcontrast.latent.cache import LatentStore
from mrcontrast.latent.codec import AutoencoderCodec
from mrcontrast.latent.conditions import Condition
from mrcontrast.metrics.online import masked_psnr
from mrcontrast.networks.tiling import DENOISER_PASSES, Tiling
from mrcontrast.stages.optimisation import Optimisation


class LatentStage(LightningModule, ABC):
    """Codec, denoiser and process, and all of a training that does not depend on the condition.

    A stage adds ``forward``, ``loss``, and ``trained`` if more than the denoiser learns. Shapes and
    ranges: mrcontrast.keys; latents are (B, C, *S / f).

    Args:
        codec: The frozen autoencoder.
        denoiser: Network that predicts the process's target from a noisy latent and a time.
        process: Noise schedule, target, training times and sampler.
        optimisation: Optimiser and learning-rate schedule.
        store: Where latents are kept so that they are encoded once, or None to encode each step.
        condition: What is told of FLAIR, or None.
        context_slices: Neighbouring slices on each side that come with FLAIR in 2D, k.

    Raises:
        UsageError: Condition and codec do not fit together.
    """

    takes = keys.SOURCE

    def __init__(
        self,
        codec: AutoencoderCodec,
        denoiser: DiffusionModelUNet,
        process: DiffusionProcess,
        optimisation: Optimisation,
        store: LatentStore | None,
        condition: Condition | None = None,
        context_slices: int = 0,
    ) -> None:
        super().__init__()
        if condition is not None:
            condition.check(codec, context_slices)
        self.codec = codec
        self.denoiser = denoiser
        self.process = process
        self.optimisation = optimisation
        self.store = store
        self.condition: Any = condition
        self.context_slices = context_slices
        self.factor = codec.multiple
        self.spatial_dims = codec.spatial_dims
        self.tiling = Tiling(None, codec.tiling.overlap, codec.multiple, DENOISER_PASSES)

    @property
    def sampler(self) -> Sampler:
        """Return how an image is drawn."""
        return self.process.sampler

    @property
    def trained(self) -> nn.Module:
        """Return the network that learns; the rest is frozen."""
        return self.denoiser

    def noise_shape(self, image_shape: Sequence[int]) -> tuple[int, ...] | None:
        """Return the shape (C, *S / f) of the noise that an image of axes (*S) starts from."""
        return self.codec.latent_shape(image_shape)

    def batch_shape(self, batch: keys.Batch) -> tuple[int, ...]:
        """Return the shape (B, C, *S / f) of a batch of latents."""
        flair = batch["source"]
        return (len(flair), *self.codec.latent_shape(flair.shape[2:]))

    def prepared(self, batch: keys.Batch) -> keys.Batch:
        """Return the batch with all that draws of its images share, computed only once."""
        return batch if self.condition is None else self.condition.prepare(batch, self.codec)

    @property
    def calls_to_prepare(self) -> int:
        """Return how often networks run for an image before its draws."""
        return 0 if self.condition is None else int(self.condition.calls)

    @abstractmethod
    def loss(self, batch: keys.Batch) -> Tensor:
        """Return the mean squared error of the prediction, a scalar, at random times."""

    def before_fit(self, datamodule: Any) -> None:  # noqa: ANN401 - any with train_items
        """Check the codec and let training read cached latents in the place of images."""
        self.codec.check()
        if self.store is not None:
            self.store.install(datamodule, self.codec, self.condition)

    def training_step(self, batch: keys.Batch, batch_idx: int) -> Tensor:
        """Return the loss of one batch."""
        loss = self.loss(batch)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def log_validation(self, batch: keys.Batch, error: Tensor, image: Tensor) -> None:
        """Log the loss of a batch and the masked PSNR of its images (B, 1, *S)."""
        size = len(batch["target"])
        self.log("val/loss", error, batch_size=size, sync_dist=True)
        psnr = masked_psnr(image, batch["target"], batch["brain_mask"]).mean()
        self.log("val/psnr", psnr, prog_bar=True, batch_size=size, sync_dist=True)

    def pictures(self, batch: keys.Batch) -> dict[str, Tensor]:
        """Return images (B, 1, *S) in [0, 1] by title."""
        flair, target = batch["source"], batch["target"]
        synthetic = self(batch, fixed_noise(torch.empty(self.batch_shape(batch)), 0))
        middle = flair[:, flair.shape[1] // 2].unsqueeze(1)
        error = (synthetic - target).abs()
        return {"FLAIR": middle, "synthetic": synthetic, "T1w": target, "error": error}

    def configure_optimizers(self) -> Any:  # noqa: ANN401 - Lightning's own type
        """Optimise what learns."""
        steps = self.trainer.estimated_stepping_batches
        return self.optimisation.configure(self.trained.parameters(), steps, self.trainer)
