"""The shared base of stages that diffuse latents of a frozen autoencoder."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Required, Unpack

import torch
from lightning import LightningDataModule
from torch import Tensor, nn

from mrcontrast import keys
from mrcontrast.diffusion.process import DiffusionProcess, fixed_noise
from mrcontrast.diffusion.sampling import Generators, Predict, Sampler
from mrcontrast.latent.cache import LatentStore
from mrcontrast.latent.codec import AutoencoderCodec
from mrcontrast.latent.conditions import Condition
from mrcontrast.networks.fast_kernels import use_fast_kernels
from mrcontrast.networks.prompt import ContextPrompt
from mrcontrast.networks.tag_prompt import listening, measure_tags
from mrcontrast.networks.tiling import DENOISER_PASSES, Tiling
from mrcontrast.stages.contract import Roles, Stage
from mrcontrast.stages.optimisation import Optimisation


class LatentArguments(Roles, total=False):
    """Arguments of ``LatentStage``."""

    codec: Required[AutoencoderCodec]
    denoiser: Required[Callable[..., nn.Module]]
    process: Required[DiffusionProcess]
    optimisation: Required[Optimisation]
    store: LatentStore | None
    condition: Condition | None
    prompt: ContextPrompt | None
    context_slices: int


class LatentStage(Stage):
    """Codec, denoiser and process, and how they train and sample with any condition.

    A stage adds ``network``, and ``trained`` if more than the denoiser learns. As it stands the
    process leads from the target's latent to noise. A method with another path overrides its ends:
    ``data_end`` with ``latent``, its inverse, and ``noise_end``. Shapes and ranges:
    mrcontrast.keys; latents are (B, C, *S / f), standardised.

    Args:
        codec: The frozen autoencoder.
        denoiser: Builds the network, for spatial_dims, in_channels and out_channels, that predicts
            the process's target from a noisy latent and a time.
        process: Noise schedule, target, training times and sampler.
        store: Where latents are kept so that they are encoded once, or None to encode each step.
        condition: Input besides the noisy latent, None for none; UsageError if it does not fit the
            codec.
        prompt: Context of cross-attention, None if the networks have none.
        context_slices: See ``Stage``; likewise the roles.
    """

    concatenates = False  # whether the condition is further channels of the denoiser

    def __init__(
        self,
        codec: AutoencoderCodec,
        denoiser: Callable[..., nn.Module],
        process: DiffusionProcess,
        optimisation: Optimisation,
        store: LatentStore | None = None,
        condition: Condition | None = None,
        prompt: ContextPrompt | None = None,
        context_slices: int = 0,
        **roles: Unpack[Roles],
    ) -> None:
        sizes = {"factor": codec.multiple, "context_slices": context_slices}
        super().__init__(**roles, spatial_dims=codec.spatial_dims, **sizes)
        further = 0 if prompt is None else prompt.channels
        if condition is not None:
            condition.attach(codec, self.source, context_slices, self.optional)
            further += condition.channels(codec) if self.concatenates else 0
        self.codec, self.process = codec, process
        self.denoiser = listening(denoiser, prompt)(**codec.network_sizes(further))
        self.optimisation, self.store = optimisation, store
        self.condition, self.prompt = condition, prompt
        self.tiling = Tiling(None, codec.tiling.overlap, codec.multiple, DENOISER_PASSES)
        use_fast_kernels(self)

    @property
    def sampler(self) -> Sampler:
        """Sampler of the process; setting it replaces it."""
        return self.process.sampler

    @sampler.setter
    def sampler(self, value: Sampler) -> None:
        self.process.sampler = value

    @property
    def trained(self) -> nn.Module:
        """The denoiser, and the prompt if it learns; the rest is frozen."""
        return self.denoiser if self.prompt is None else nn.ModuleList([self.denoiser, self.prompt])

    @property
    def networks(self) -> nn.Module:
        """All that ``network`` runs."""
        return self.denoiser

    def noise_shape(self, image_shape: Sequence[int]) -> tuple[int, ...] | None:
        """Return the shape (C, *S / f) of the noise for an image of axes (*S)."""
        return self.codec.latent_shape(image_shape)

    def prepare(self, batch: keys.Batch) -> keys.Batch:
        """Return the batch with the signals of the condition, computed once for all samples."""
        return batch if self.condition is None else self.condition.prepare(batch, self.codec)

    def network_calls(self, samples: int) -> int:
        """Return the network calls; a ControlNet and its denoiser count as one."""
        once = 0 if self.condition is None else self.condition.calls
        return once + super().network_calls(samples) * self.sampler.num_calls

    def data_end(self, z: Tensor, batch: keys.Batch) -> Tensor:
        """Return the end of the path at t = 0 for a target's latent."""
        return z

    def latent(self, data: Tensor, batch: keys.Batch) -> Tensor:
        """Return the target's latent for the end of the path at t = 0."""
        return data

    def noise_end(self, noise: Tensor, batch: keys.Batch) -> Tensor:
        """Return the end of the path at t = 1 for standard normal noise."""
        return noise

    @abstractmethod
    def network(
        self, condition: Sequence[Tensor], z_t: Tensor, t: Tensor, context: Tensor | None = None
    ) -> Tensor:
        """Run the networks once on noisy latents z_t (B, C, *S / f) at times t (B,) in [0, 1].

        ``condition`` may be empty; ``context`` is (B, N, D), None without cross-attention.
        """

    def predictor(self, batch: keys.Batch, guided: bool = False) -> Predict:
        """Return ``predict(z_t, t)`` for a batch with signals, ``guided`` as in sampling or not."""
        condition = [] if self.condition is None else [self.condition(batch, self.codec)]
        return self.tiled(self.prompted(batch, guided), condition)

    def prompted(self, batch: keys.Batch, guided: bool) -> Callable[..., Tensor]:
        """Return ``network`` with the contexts of the prompt for a batch, if there is one."""
        if self.prompt is None:
            return self.network
        prompt, contexts = self.prompt, self.prompt.contexts(batch, guided)

        def call(condition: Sequence[Tensor], z_t: Tensor, t: Tensor) -> Tensor:
            return prompt.predict(partial(self.network, condition, z_t, t), contexts)

        return call

    def tiled(self, call: Callable[..., Tensor], condition: Sequence[Tensor]) -> Predict:
        """Return ``predict(z_t, t)`` of a call for a condition, in tiles if there are any."""
        if self.tiling.tile_voxels is None:
            return partial(call, condition)

        def predict(z_t: Tensor, t: Tensor) -> Tensor:
            def on_tile(z: Tensor, *parts: Tensor) -> Tensor:
                return call(parts, z, t)

            return self.tiling(on_tile, [z_t, *condition], self.codec.cells(z_t), self.networks)

        return predict

    @contextmanager
    def sampling(self, batch: keys.Batch) -> Iterator[Predict]:
        """Yield ``predict(z_t, t)`` for all steps of a sampler."""
        yield self.predictor(batch, guided=True)

    @torch.no_grad()
    def forward(
        self, batch: keys.Batch, noise: Tensor | None = None, generator: Generators = None
    ) -> Tensor:
        """Sample the target image of each item, (B, 1, *S) in [0, 1]; see ``Stage.forward``."""
        image_shape = batch["source"].shape[2:]
        if noise is None:
            noise = torch.randn(len(batch["source"]), *self.codec.latent_shape(image_shape))
        batch = self.prepare(batch)
        x = self.noise_end(noise.to(self.device), batch)
        if self.start < 1:
            x = self.process.noisy(batch["guess"], x, self.start)
        ends = self.process.schedule, self.process.target
        with self.sampling(batch) as predict:
            data = self.sampler.sample(predict, x, *ends, generator, self.start)
        image = self.codec.decode(self.latent(data, batch), image_shape)
        return (image + batch["lost"]).clamp(0, 1) if "lost" in batch else image

    def loss(self, batch: keys.Batch, seed: int | None = None) -> Tensor:
        """Return the mean squared error of the prediction for images or cached latents, a scalar.

        ``seed`` None takes random latents, times and noise; a number takes mean latents, times
        spread evenly over the batch, and noise of that seed.
        """
        posterior = self.codec.posterior(batch)
        if seed is None:
            z = posterior.sample()
            t = self.process.times.sample(len(z), device=z.device)
            noise = torch.randn_like(z)
        else:
            z, noise = posterior.mean, fixed_noise(posterior.mean, seed)
            t = (torch.arange(len(z), device=z.device) + 0.5) / len(z)
        if self.condition is not None:
            batch = self.condition.compute(batch, self.codec)
        ends = self.data_end(z, batch), self.noise_end(noise, batch)
        return self.process.error(self.predictor(batch), *ends, t)

    def validation_step(self, batch: keys.Batch, batch_idx: int) -> None:
        """Log the loss at fixed times and noise, and the masked PSNR of one sample each."""
        source = batch["source"]
        shape = (len(source), *self.codec.latent_shape(source.shape[2:]))
        noise = fixed_noise(torch.empty(shape), seed=batch_idx)
        self.log_scores(batch, self.loss(batch, seed=batch_idx), self(batch, noise))

    def before_fit(self, datamodule: LightningDataModule) -> None:
        """Check the codec, measure tags, and let training read cached latents."""
        self.codec.check()
        measure_tags(self, datamodule)
        if self.store is not None:
            self.store.install(datamodule, self.codec, self.condition)  # type: ignore[arg-type]


def network_time(t: Tensor) -> Tensor:
    """Map times in [0, 1] to [0, 1000], the range of the sinusoidal embedding of MONAI."""
    return 1000.0 * t
