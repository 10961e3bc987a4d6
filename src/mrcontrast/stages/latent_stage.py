"""The shared base of stages that diffuse latents of a frozen autoencoder."""

from collections.abc import Sequence
from typing import Any

from lightning import LightningDataModule
from monai.networks.nets import DiffusionModelUNet
from torch import nn

from mrcontrast import keys
from mrcontrast.diffusion.process import DiffusionProcess
from mrcontrast.diffusion.sampling import Sampler
from mrcontrast.latent.cache import LatentStore
from mrcontrast.latent.codec import AutoencoderCodec
from mrcontrast.latent.conditions import Condition
from mrcontrast.networks.tiling import DENOISER_PASSES, Tiling
from mrcontrast.stages.contract import Stage
from mrcontrast.stages.optimisation import Optimisation


class LatentStage(Stage):
    """Codec, denoiser and process, and all of a training that does not depend on the condition.

    A stage adds ``forward``, ``loss``, and ``trained`` if more than the denoiser learns. Shapes and
    ranges: mrcontrast.keys; latents are (B, C, *S / f).

    Args:
        codec: The frozen autoencoder.
        denoiser: Network that predicts the process's target from a noisy latent and a time.
        process: Noise schedule, target, training times and sampler.
        optimisation: Optimiser and learning-rate schedule.
        store: Where latents are kept so that they are encoded once, or None to encode each step.
        condition: Input of the network besides the noisy latent, or None.
        context_slices: See ``Stage``.
        source: See ``Stage``.
        target: See ``Stage``.

    Raises:
        UsageError: Condition and codec do not fit together.
    """

    def __init__(  # noqa: PLR0913 - each a choice of the config
        self,
        codec: AutoencoderCodec,
        denoiser: DiffusionModelUNet,
        process: DiffusionProcess,
        optimisation: Optimisation,
        store: LatentStore | None,
        condition: Condition | None = None,
        context_slices: int = 0,
        source: Sequence[str] = ("flair",),
        target: str = "t1w",
    ) -> None:
        super().__init__(source, target, codec.spatial_dims, codec.multiple, context_slices)
        if condition is not None:
            condition.check(codec, context_slices)
        self.codec = codec
        self.denoiser = denoiser
        self.process = process
        self.optimisation = optimisation
        self.store = store
        self.condition: Any = condition
        self.tiling = Tiling(None, codec.tiling.overlap, codec.multiple, DENOISER_PASSES)

    @property
    def sampler(self) -> Sampler:
        """Sampler of the process; setting it replaces it."""
        return self.process.sampler

    @sampler.setter
    def sampler(self, value: Sampler) -> None:
        self.process.sampler = value

    @property
    def trained(self) -> nn.Module:
        """The network that learns; the rest is frozen."""
        return self.denoiser

    def noise_shape(self, image_shape: Sequence[int]) -> tuple[int, ...] | None:
        """Return the shape (C, *S / f) of the noise for an image of axes (*S)."""
        return self.codec.latent_shape(image_shape)

    def batch_shape(self, batch: keys.Batch) -> tuple[int, ...]:
        """Return the shape (B, C, *S / f) of a batch of latents."""
        source = batch["source"]
        return (len(source), *self.codec.latent_shape(source.shape[2:]))

    def prepare(self, batch: keys.Batch) -> keys.Batch:
        """Return the batch with the condition, computed once for all samples."""
        return batch if self.condition is None else self.condition.prepare(batch, self.codec)

    def network_calls(self, samples: int) -> int:
        """Return the network calls; a ControlNet and its denoiser count as one."""
        once = 0 if self.condition is None else int(self.condition.calls)
        guided = 1 if self.guidance in (None, 0.0, 1.0) else 2
        return once + samples * self.sampler.num_calls * guided

    def before_fit(self, datamodule: LightningDataModule) -> None:
        """Check the codec and let training read cached latents in the place of images."""
        self.codec.check()
        if self.store is not None:
            self.store.install(datamodule, self.codec, self.condition)
