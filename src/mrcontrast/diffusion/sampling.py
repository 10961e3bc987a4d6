"""Parts of all samplers: the grid of times, the network's estimate, and noise."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mrcontrast.diffusion.schedules import NoiseSchedule
from mrcontrast.diffusion.targets import Target
from mrcontrast.errors import UsageError

Predict = Callable[[Tensor, Tensor], Tensor]
NoiseSource = Callable[[Tensor], Tensor]  # like (B, C, *S) -> standard normal, of its shape
Generators = torch.Generator | Sequence[torch.Generator] | NoiseSource | None


@dataclass(frozen=True)
class Moment:
    """A time of the grid with its weights of data and noise, in double precision."""

    t: float
    alpha: float
    sigma: float


Grid = list[Moment]


@dataclass(frozen=True)
class Estimate:
    """The network's estimate at one moment: expected data and noise, (B, C, *S) each."""

    data: Tensor
    noise: Tensor

    def at(self, alpha: float, sigma: float) -> Tensor:
        """Return alpha data + sigma noise: the estimate at another moment."""
        return alpha * self.data + sigma * self.noise


@dataclass(frozen=True)
class Denoiser:
    """The network with its target, from x_t at a moment to an estimate of data and noise.

    ``predict`` maps x_t (B, C, *S) in ``dtype`` and t (B,) to a prediction (B, C, *S).
    """

    predict: Predict
    target: Target
    dtype: torch.dtype

    def __call__(self, x: Tensor, now: Moment) -> Estimate:
        """Run the network once on ``x`` (B, C, *S), all items at the same moment."""
        t, alpha, sigma = (x.new_full((len(x),), value) for value in (now.t, now.alpha, now.sigma))
        prediction = self.predict(x.to(self.dtype), t).to(x.dtype)
        data = self.target.to_data(prediction, x, alpha, sigma)
        return Estimate(data, self.target.to_noise(prediction, x, alpha, sigma))


class Sampler(ABC):
    """Solver from noise at t = 1, or from noisy data at an earlier time, to data at t = 0.

    The grid is start * warp(u**rho), u even from 1 to 0, warp(t) = shift t / (1 + (shift - 1) t);
    start is the time of the input, limited to times with an alpha of `Target.min_alpha`.

    Args:
        num_steps: Steps of the grid, at least 1; may be set later.
        shift: Above 1 takes more steps at noisy times, below 1 at clean ones.
        rho: Above 1 takes finer steps near the data. With 2, second-order samplers keep their order
            on variance-preserving schedules, whose sigma goes like sqrt(t) there.

    ``adds_noise`` says whether fresh noise enters between the first step and the last.

    Source: shift is Esser et al. 2024, arXiv 2403.03206, eq. 23; rho is after Karras et al. 2022,
    arXiv 2206.00364, eq. 5, on t rather than sigma.
    """

    adds_noise = False

    def __init__(self, num_steps: int, shift: float = 1.0, rho: float = 1.0) -> None:
        if shift <= 0 or rho <= 0:
            raise UsageError(f"Expected shift and rho above 0, got {shift:g} and {rho:g}. Set 1.")
        self.shift, self.rho = shift, rho
        self.num_steps = num_steps

    @property
    def num_steps(self) -> int:
        """Number of steps; setting fewer than one raises `UsageError`."""
        return self._num_steps

    @num_steps.setter
    def num_steps(self, value: int) -> None:
        if value < 1:
            raise UsageError(f"Expected num_steps of at least 1, got {value}. Set it higher.")
        self._num_steps = value

    @property
    def num_calls(self) -> int:
        """Number of network calls for one sample."""
        return self.num_steps

    def times(self) -> Tensor:
        """Return the grid, (num_steps + 1,), float64, from 1 down to 0."""
        t = torch.linspace(1, 0, self.num_steps + 1, dtype=torch.float64) ** self.rho
        return self.shift * t / (1 + (self.shift - 1) * t)

    @torch.no_grad()
    def sample(
        self,
        predict: Predict,
        noise: Tensor,
        schedule: NoiseSchedule,
        target: Target,
        generator: Generators = None,
        start: float = 1.0,
    ) -> Tensor:
        """Turn noise, or noisy data, into data (B, C, *S), in the dtype of ``noise``.

        Args:
            predict: Network, (x_t (B, C, *S), t (B,) in [0, 1]) -> prediction (B, C, *S).
            noise: Standard normal, (B, C, *S); with an earlier start, x_t at that time.
            schedule: That of the network's training.
            target: That of the network's training.
            generator: Source of noise between the steps; see `draw`.
            start: Time of ``noise``, in (0, 1].
        """
        times = self.times() * min(start, schedule.latest_time(target.min_alpha))
        weights = schedule.alpha(times).tolist(), schedule.sigma(times).tolist()
        grid = [Moment(*values) for values in zip(times.tolist(), *weights, strict=True)]
        x = noise.to(torch.promote_types(noise.dtype, torch.float32))
        denoiser = Denoiser(predict, target, noise.dtype)
        return self.integrate(denoiser, x, grid, generator).to(noise.dtype)

    @abstractmethod
    def integrate(self, denoiser: Denoiser, x: Tensor, grid: Grid, generator: Generators) -> Tensor:
        """Carry ``x`` (B, C, *S) from the first moment of the grid to the last."""


def draw(like: Tensor, generator: Generators = None) -> Tensor:
    """Return standard normal noise of shape (B, C, *S), dtype and device of ``like``.

    Args:
        like: (B, C, *S).
        generator: None (torch's global one), one for the batch, one for each item, whose noise then
            does not depend on its batch, or a function that returns the noise.
    """
    if generator is None:
        return torch.randn_like(like)
    if isinstance(generator, torch.Generator):
        home = generator.device
        return torch.randn(like.shape, generator=generator, dtype=like.dtype, device=home).to(like)
    if callable(generator):
        return generator(like)
    if len(generator) != len(like):
        raise ValueError(f"Expected {len(like)} generators, one an item, got {len(generator)}.")
    return torch.stack([draw(item, g) for item, g in zip(like, generator, strict=True)])
