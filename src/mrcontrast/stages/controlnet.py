"""Stage 3: steer the frozen latent diffusion model by FLAIR."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from monai.networks.nets import ControlNet, DiffusionModelUNet
from torch import Tensor, nn

from mrcontrast import keys
from mrcontrast.diffusion.process import DiffusionProcess, fixed_noise
from mrcontrast.diffusion.sampling import Generators, Predict
from mrcontrast.errors import UsageError
from mrcontrast.latent.cache import LatentStore
from mrcontrast.latent.codec import AutoencoderCodec
from mrcontrast.latent.conditions import Condition
from mrcontrast.networks.control import embedded_once, start_from_denoiser
from mrcontrast.networks.memory_format import channels_last
from mrcontrast.networks.prompt import Prompt
from mrcontrast.networks.time import network_time
from mrcontrast.stages.latent_stage import LatentStage
from mrcontrast.stages.optimisation import Optimisation


class ControlNetDiffusion(LatentStage):
    """Learn p(T1w latent | FLAIR). Shapes and ranges: mrcontrast.keys; latents (B, C, *S / f).

    Args:
        codec: As in ``LatentStage``, like all that say "as there".
        denoiser: The trained denoiser of stage 2; frozen here.
        controlnet: Network that adds FLAIR's residuals to the denoiser's features.
        condition: What the ControlNet is told of FLAIR.
        process: Noise schedule and target of stage 2; training times and sampler of this one.
        optimisation: As there.
        store: As there.
        context_slices: As there.
        prompt: What cross-attention is told, that of stage 2, or None if there is none.
        unlock_decoder: Train the denoiser's decoder too, from where stage 2 has left it; its
            encoder stays frozen.
        start: Time at which a draw begins, in (0, 1]. 1 begins from noise; below, from the
            condition's guess at the latent with noise of that time (see ``DiffusionProcess``):
            training sees few times near 1, and levels over large areas are settled there.
        source: See ``Stage``.
        target: See ``Stage``.

    Raises:
        UsageError: Condition and codec do not fit, or the start is out of range or has no guess.

    Source: Zhang et al. 2023, arXiv 2302.05543, eq. 5, on the latents of Rombach et al. 2022. The
    decoder is unlocked as by ``sd_locked = False`` in the authors' own code.
    """

    def __init__(  # noqa: PLR0913 - each a choice of the config
        self,
        codec: AutoencoderCodec,
        denoiser: DiffusionModelUNet,
        controlnet: ControlNet,
        condition: Condition,
        process: DiffusionProcess,
        optimisation: Optimisation,
        store: LatentStore | None = None,
        context_slices: int = 0,
        prompt: Prompt | None = None,
        unlock_decoder: bool = False,
        start: float = 1.0,
        source: Sequence[str] = ("flair",),
        target: str = "t1w",
    ) -> None:
        parts = codec, denoiser, process, optimisation, store, condition, context_slices
        super().__init__(*parts, source, target)
        denoiser.eval().requires_grad_(False)
        self.controlnet = controlnet
        self.unlocked = [denoiser.up_blocks, denoiser.out] if unlock_decoder else []
        for part in self.unlocked:
            part.requires_grad_(True)
        self.prompt = prompt
        self.start = start
        channels_last(self)

    @property
    def start(self) -> float:
        """Time at which a draw begins; setting one that cannot be raises `UsageError`."""
        return self._start

    @start.setter
    def start(self, value: float) -> None:
        if not 0 < value <= 1:
            raise UsageError(f"Expected a start in (0, 1], got {value:g}. 1 begins from noise.")
        if value < 1 and not self.condition.guesses:
            raise UsageError(
                f"Expected a start of 1 for a {type(self.condition).__name__}, which guesses no "
                f"T1w, got {value:g}. Train with stage/condition=regressed for a start below 1."
            )
        self._start = value

    @property
    def trained(self) -> nn.Module:
        """Return what learns: the ControlNet, and the denoiser's decoder if it is unlocked."""
        return nn.ModuleList([self.controlnet, *self.unlocked])

    @torch.no_grad()
    def forward(
        self, batch: keys.Batch, noise: Tensor | None = None, generator: Generators = None
    ) -> Tensor:
        """Draw the T1w image of each FLAIR, (B, 1, *S) in [0, 1]."""
        if noise is None:
            noise = torch.randn(self.batch_shape(batch))
        batch = self.prepare(batch)
        with self.steered(self.condition(batch, self.codec), self.batch_shape(batch)) as predict:
            z = self.draw(predict, batch, noise.to(self.device), generator)
        image = self.codec.decode(z, batch["source"].shape[2:])
        return (image + batch["lost"]).clamp(0, 1) if "lost" in batch else image

    def draw(
        self, predict: Predict, batch: keys.Batch, noise: Tensor, generator: Generators
    ) -> Tensor:
        """Return latents (B, C, *S / f), drawn from the noise, or from a guess with it added."""
        if self.start == 1:
            return self.process.sample(predict, noise, generator)
        return self.process.refine(predict, batch["guess"], noise, self.start, generator)

    @property
    def guidance(self) -> float | None:
        """Weight of the guidance by the prompt, None without a prompt."""
        return None if self.prompt is None else self.prompt.guidance

    def conditioned_on(self, batch: keys.Batch) -> Predict:
        """Return ``predict(z_t, t)`` for the FLAIR of a batch; it fuses tiles if there are any."""
        return self.fused(self.condition(batch, self.codec), self.predict)

    @contextmanager
    def steered(self, condition: Tensor, shape: tuple[int, ...]) -> Iterator[Predict]:
        """Yield the ``predict(z_t, t)`` of a draw, guided; whole images are embedded only once.

        Args:
            condition: What the ControlNet takes.
            shape: Of the latents, (B, C, *S / f).
        """
        cells = [size // self.codec.latent_multiple for size in shape[2:]]
        if self.tiling.cuts(cells):
            yield self.fused(condition, self.guided)
            return
        with embedded_once(self.controlnet, condition) as embedded:
            yield self.fused(embedded, self.guided)

    def fused(self, condition: Tensor, run: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Predict:
        """Return ``predict(z_t, t)`` for what the ControlNet takes, by ``run`` on each tile."""

        def predict(z_t: Tensor, t: Tensor) -> Tensor:
            def on_tile(z: Tensor, part: Tensor) -> Tensor:
                return run(z, t, part)

            return self.tiling(on_tile, [z_t, condition], self.codec.cells(z_t), self)

        return predict

    def predict(self, z_t: Tensor, t: Tensor, condition: Tensor) -> Tensor:
        """Run ControlNet and denoiser once at times ``t`` (B,) in [0, 1]."""
        context = None if self.prompt is None else self.prompt(len(z_t))
        return self.told(z_t, t, condition, context)

    def guided(self, z_t: Tensor, t: Tensor, condition: Tensor) -> Tensor:
        """Return the prediction that a draw takes: FLAIR in both branches of the guidance."""
        if self.prompt is None:
            return self.predict(z_t, t, condition)
        return self.prompt.guided(lambda told: self.told(z_t, t, condition, told), len(z_t))

    def told(self, z_t: Tensor, t: Tensor, condition: Tensor, context: Tensor | None) -> Tensor:
        """Run both networks once under a context (B, N, D), or none."""
        time = network_time(t)
        down, middle = self.controlnet(z_t, time, condition, context=context)
        beside = z_t if self.prompt is None or context is None else self.prompt.beside(z_t, context)
        return self.denoiser(
            beside,
            time,
            context=context,
            down_block_additional_residuals=tuple(down),
            mid_block_additional_residual=middle,
        )

    def loss(self, batch: keys.Batch) -> Tensor:
        """Return the mean squared error of the prediction, a scalar, at random times."""
        z = self.codec.posterior(batch).sample()
        return self.process.loss(self.conditioned_on(batch), z)

    def initialise(self) -> None:
        """Start the ControlNet from the denoiser's weights, once these are there."""
        start_from_denoiser(self.controlnet, self.denoiser)

    def on_train_epoch_start(self) -> None:
        """Keep the frozen denoiser in evaluation mode."""
        self.denoiser.eval()

    def validation_step(self, batch: keys.Batch, batch_idx: int) -> None:
        """Log the loss at fixed times and noise, and the masked PSNR of one draw each."""
        z = self.codec.posterior(batch).mean
        error = self.process.validation_error(self.conditioned_on(batch), z, seed=batch_idx)
        self.log_scores(batch, error, self(batch, fixed_noise(z, seed=batch_idx)))
