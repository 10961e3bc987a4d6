"""Stage 3: steer the frozen latent diffusion model by the source."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Unpack

from torch import Tensor, nn

from mrcontrast import keys
from mrcontrast.diffusion.sampling import Predict, Sampler
from mrcontrast.errors import UsageError
from mrcontrast.latent.conditions import Condition
from mrcontrast.networks.control import embedded_once, encoder_settings, start_from_denoiser
from mrcontrast.networks.fast_kernels import use_fast_kernels
from mrcontrast.networks.tag_prompt import listening
from mrcontrast.stages.added_control import ROUNDING, AddedControl, of_sources
from mrcontrast.stages.latent_stage import LatentArguments, LatentStage, network_time


class ControlNetDiffusion(LatentStage):
    """Learn p(target latent | source). Shapes and ranges: mrcontrast.keys; latents (B, C, *S / f).

    Args:
        controlnet: Builds the network that adds the condition's residuals to the denoiser's
            features; it gets the settings of the denoiser's encoder.
        unlock_decoder: Train the denoiser's decoder too, from where stage 2 has left it; its
            encoder stays frozen.
        start: Time at which sampling begins, in (0, 1]. 1 begins from noise; below, from the
            condition's guess at the latent with noise of that time: training has few times near 1,
            which decide levels over large areas.
        arguments: See ``LatentStage``. The denoiser, prompt, schedule and target are those of
            stage 2; the condition is the input of the ControlNet's embedder.

    UsageError: condition and codec do not fit, or the start is out of range or has no guess.

    Source: Zhang et al. 2023, arXiv 2302.05543, eq. 5, on the latents of Rombach et al. 2022. The
    decoder is unlocked as by ``sd_locked = False`` in the authors' own code. A start below 1 is
    Meng et al. 2022, "SDEdit", arXiv 2108.01073, algorithm 1; from a network's guess it is Chung et
    al. 2022, "Come-closer-diffuse-faster", arXiv 2112.05146, algorithm 1.
    """

    condition: Condition

    def __init__(
        self,
        controlnet: Callable[..., nn.Module],
        unlock_decoder: bool = False,
        start: float = 1.0,
        **arguments: Unpack[LatentArguments],
    ) -> None:
        super().__init__(**arguments)
        self.denoiser.eval().requires_grad_(False)
        if self.prompt is not None:
            self.prompt.requires_grad_(False)
        self.controlnet = controlnet(
            **encoder_settings(listening(arguments["denoiser"], self.prompt)),
            spatial_dims=self.spatial_dims,
            in_channels=len(self.codec.mean),
            conditioning_embedding_in_channels=self.condition.channels(self.codec),
            conditioning_embedding_num_channels=self.condition.embedder_channels,
        )
        decoder = [self.denoiser.get_submodule(name) for name in ("up_blocks", "out")]
        self.unlocked = decoder if unlock_decoder else []
        for part in self.unlocked:
            part.requires_grad_(True)
        self.start = start
        self.controls = nn.ModuleList()  # ``AddedControl`` of other runs, in inference alone
        use_fast_kernels(self)

    @property
    def start(self) -> float:
        """Time at which sampling begins; an impossible one raises `UsageError`."""
        return self._start

    @start.setter
    def start(self, value: float) -> None:
        if not 0 < value <= 1:
            raise UsageError(f"Expected a start in (0, 1], got {value:g}. 1 begins from noise.")
        if value < 1 and not self.condition.guesses:
            raise UsageError(
                f"Expected a start of 1 for a condition of {', '.join(self.condition.signals)}, "
                f"which has no guess of the target, got {value:g}. Train with "
                "stage/condition=regressed for a start below 1."
            )
        self._start = value

    @property
    def trained(self) -> nn.Module:
        """The ControlNet, and the denoiser's decoder if it is unlocked."""
        return nn.ModuleList([self.controlnet, *self.unlocked])

    @property
    def networks(self) -> nn.Module:
        """ControlNets and denoiser."""
        return nn.ModuleList([*self.controlnets, self.denoiser])

    @property
    def controlnets(self) -> list[nn.Module]:
        """The ControlNet, and those that are added."""
        return [self.controlnet, *(each.controlnet for each in self.added)]

    @property
    def added(self) -> list[AddedControl]:
        """The controls that are added."""
        return list(self.controls)  # type: ignore[arg-type]

    @property
    def inputs(self) -> tuple[str, ...]:
        """The sources, and then the further ones of added controls."""
        further = (name for control in self.added for name in control.source)
        return tuple(dict.fromkeys((*self.source, *further)))

    def prepare(self, batch: keys.Batch) -> keys.Batch:
        """Return the batch with signals, and the conditions of added controls as ``controls``."""
        if not self.added or "controls" in batch:
            return super().prepare(batch)
        conditions = [each.placed(batch, self.inputs, self.codec) for each in self.added]
        own = of_sources(batch, self.inputs, self.source)
        return {**super().prepare(own), "controls": conditions}

    def network_calls(self, samples: int) -> int:
        """Return the network calls; each call of an added control counts as one more."""
        steps, calls = self.sampler.num_steps, super().network_calls(samples)
        of_denoiser = calls - self.condition.calls
        for control in self.added:
            acting = sum(control.acts(step, steps) for step in range(steps)) / steps
            calls += control.condition.calls + round(of_denoiser * acting)
        return calls

    @contextmanager
    def sampling(self, batch: keys.Batch) -> Iterator[Predict]:
        """Yield ``predict(z_t, t)`` for all steps; whole images are embedded only once."""
        conditions = [self.condition(batch, self.codec), *batch.get("controls", [])]
        call = self.prompted(batch, guided=True)
        cells = [-(-size // self.factor) for size in batch["source"].shape[2:]]
        if self.tiling.cuts(cells):
            yield self.tiled(call, conditions)
            return
        pairs = zip(self.controlnets, conditions, strict=True)
        with ExitStack() as stack:
            embedded = [stack.enter_context(embedded_once(*pair)) for pair in pairs]
            yield partial(call, embedded)

    def network(
        self, condition: Sequence[Tensor], z_t: Tensor, t: Tensor, context: Tensor | None = None
    ) -> Tensor:
        """Run ControlNet and denoiser once; see ``LatentStage.network``."""
        time = network_time(t)
        own, *further = condition
        down, middle = self.controlnet(z_t, time, own, context=context)
        for control, part in zip(self.added, further, strict=False):
            if self.acts(control, t):
                theirs, centre = control.controlnet(z_t, time, part, context=context)
                pairs = zip(down, theirs, strict=True)
                down = [ours + control.scale * other for ours, other in pairs]
                middle = middle + control.scale * centre
        if self.prompt is not None and context is not None:
            z_t = self.prompt.concatenate(z_t, context)
        return self.denoiser(
            z_t,
            time,
            context=context,
            down_block_additional_residuals=tuple(down),
            mid_block_additional_residual=middle,
        )

    def acts(self, control: AddedControl, t: Tensor) -> bool:
        """Return whether an added control acts at the times (B,) of one step of the draw."""
        always = (control.start, control.end) == (0, 1) or not isinstance(self.sampler, Sampler)
        if always or control.scale == 0:
            return control.scale != 0
        first = self.process.schedule.latest_time(self.process.target.min_alpha)
        times = self.sampler.times() * min(self.start, first)
        return control.acts(int((times > float(t[0]) + ROUNDING).sum()), self.sampler.num_steps)

    def initialise(self) -> None:
        """Start the ControlNet from the denoiser's weights."""
        start_from_denoiser(self.controlnet, self.denoiser)

    def on_train_epoch_start(self) -> None:
        """Keep the frozen denoiser in evaluation mode."""
        self.denoiser.eval()
