"""What the stages share that see FLAIR as channels beside a noisy T1w latent."""

from collections.abc import Sequence

import torch
from monai.networks.nets import DiffusionModelUNet
from torch import Tensor

from mrcontrast import keys
from mrcontrast.diffusion.process import DiffusionProcess, fixed_noise
from mrcontrast.diffusion.sampling import Generators, Predict
from mrcontrast.errors import UsageError
from mrcontrast.latent.cache import LatentStore
from mrcontrast.latent.codec import AutoencoderCodec
from mrcontrast.latent.conditions import Condition
from mrcontrast.networks.memory_format import channels_last
from mrcontrast.networks.time import network_time
from mrcontrast.stages.latent_stage import LatentStage
from mrcontrast.stages.optimisation import Optimisation


class LatentTranslation(LatentStage):
    """Learn p(T1w latent | FLAIR) with one denoiser. Shapes and ranges: mrcontrast.keys.

    As it stands the path of the process leads from the T1w latent to noise. A method with another
    path overrides its ends: ``data_end`` with ``latent``, its inverse, and ``noise_end``. Latents
    are (B, C, *S / f), standardised; conditions (B, K, *S / f).

    Args:
        codec: As in ``LatentStage``, like all that say "as there".
        denoiser: Takes noisy latent and condition as C + K channels; predicts C.
        condition: What the denoiser is told of FLAIR, at the latent's size.
        process: As there.
        optimisation: As there.
        store: As there.
        context_slices: As there.
        source: See ``Stage``.
        target: See ``Stage``.

    Raises:
        UsageError: Condition, codec and denoiser do not fit together.
    """

    def __init__(  # noqa: PLR0913 - each a choice of the config
        self,
        codec: AutoencoderCodec,
        denoiser: DiffusionModelUNet,
        condition: Condition,
        process: DiffusionProcess,
        optimisation: Optimisation,
        store: LatentStore | None = None,
        context_slices: int = 0,
        source: Sequence[str] = ("flair",),
        target: str = "t1w",
    ) -> None:
        parts = codec, denoiser, process, optimisation, store, condition, context_slices
        super().__init__(*parts, source, target)
        check_channels(denoiser, len(codec.mean) + condition.in_channels)
        channels_last(self)

    def data_end(self, z: Tensor, condition: Tensor) -> Tensor:
        """Return what lies at t = 0 for a T1w latent."""
        return z

    def latent(self, data: Tensor, condition: Tensor) -> Tensor:
        """Return the T1w latent for what lies at t = 0."""
        return data

    def noise_end(self, noise: Tensor, condition: Tensor) -> Tensor:
        """Return what lies at t = 1 for standard normal noise."""
        return noise

    @torch.no_grad()
    def forward(
        self, batch: keys.Batch, noise: Tensor | None = None, generator: Generators = None
    ) -> Tensor:
        """Draw the T1w image of each FLAIR, (B, 1, *S) in [0, 1]."""
        batch = self.prepare(batch)
        condition = self.condition(batch, self.codec)
        if noise is None:
            noise = torch.randn(self.batch_shape(batch))
        start = self.noise_end(noise.to(self.device), condition)
        data = self.process.sample(self.conditioned_on(condition), start, generator)
        return self.image(self.latent(data, condition), batch)

    def image(self, z: Tensor, batch: keys.Batch) -> Tensor:
        """Return the image (B, 1, *S) in [0, 1] of a T1w latent, for a batch that is prepared."""
        return self.codec.decode(z, batch["source"].shape[2:])

    def conditioned_on(self, condition: Tensor) -> Predict:
        """Return ``predict(z_t, t)`` for a condition; it fuses tiles if there are any."""

        def fused(z_t: Tensor, t: Tensor) -> Tensor:
            def predict(z: Tensor, part: Tensor) -> Tensor:
                return self.predict(z, t, part)

            return self.tiling(predict, [z_t, condition], self.codec.cells(z_t), self.denoiser)

        return fused

    def predict(self, z_t: Tensor, t: Tensor, condition: Tensor) -> Tensor:
        """Run the denoiser once at times ``t`` (B,) in [0, 1]."""
        return self.denoiser(torch.cat([z_t, condition], dim=1), network_time(t))

    def error(self, batch: keys.Batch, z: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """Return the mean squared error at given latents, noise and times (B,), a scalar."""
        condition = self.condition(batch, self.codec)
        ends = self.data_end(z, condition), self.noise_end(noise, condition)
        return self.process.error(self.conditioned_on(condition), *ends, t)

    def loss(self, batch: keys.Batch) -> Tensor:
        """Return the mean squared error of the prediction, a scalar, at random times."""
        z = self.codec.posterior(batch).sample()
        t = self.process.times.sample(len(z), device=z.device)
        return self.error(batch, z, torch.randn_like(z), t)

    def validation_step(self, batch: keys.Batch, batch_idx: int) -> None:
        """Log the loss at fixed times and noise, and the masked PSNR of one draw each."""
        z, size = self.codec.posterior(batch).mean, len(batch["target"])
        t = (torch.arange(size, device=z.device) + 0.5) / size
        noise = fixed_noise(z, seed=batch_idx)
        self.log_scores(batch, self.error(batch, z, noise, t), self(batch, noise))


def check_channels(denoiser: DiffusionModelUNet, expected: int) -> None:
    """Refuse a denoiser that takes another number of channels.

    Raises:
        UsageError: It does.
    """
    if (found := denoiser.in_channels) != expected:
        raise UsageError(
            f"Expected a denoiser of {expected} channels, latent and condition together, got "
            f"{found}. Set stage.denoiser.in_channels={expected}."
        )
