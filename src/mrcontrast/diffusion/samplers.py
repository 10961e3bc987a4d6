"""Samplers for any schedule and target; each is one algorithm of its paper."""

import math
from itertools import pairwise

from torch import Tensor

from mrcontrast.diffusion.sampling import Denoiser, Generators, Grid, Moment, Sampler, draw
from mrcontrast.errors import UsageError


class EulerFlow(Sampler):
    """First-order solver of the probability flow; one network call a step.

    x_s = alpha_s data + sigma_s noise with constant estimates over the step. For rectified flow
    this is Euler's method on dx/dt = velocity; for every schedule it equals `DDIM` with eta = 0.

    Source: Liu et al. 2022, arXiv 2209.03003, eq. 1 and section 2.1; ours integrates the two
    estimates rather than the velocity, which needs no derivative of the schedule.
    """

    def integrate(self, denoiser: Denoiser, x: Tensor, grid: Grid, generator: Generators) -> Tensor:
        """Take Euler steps; no noise is drawn."""
        for now, after in pairwise(grid):
            x = denoiser(x, now).at(after.alpha, after.sigma)
        return x


class HeunFlow(Sampler):
    """Second-order solver of the probability flow; two network calls a step, one in the last.

    x_s = x_t + int data dalpha + int noise dsigma by the trapezium rule, after an Euler step to s.
    The last step is Euler's, since networks are not trained at t = 0.

    Source: Karras et al. 2022, arXiv 2206.00364, algorithm 1; ours averages estimates along (alpha,
    sigma) rather than dx/dsigma. For rectified flow the two are Heun's method on the velocity.
    """

    @property
    def num_calls(self) -> int:
        """Number of network calls: two a step, one in the last."""
        return 2 * self.num_steps - 1

    def integrate(self, denoiser: Denoiser, x: Tensor, grid: Grid, generator: Generators) -> Tensor:
        """Take Heun steps and a last Euler step; no noise is drawn."""
        for now, after in pairwise(grid[:-1]):
            first = denoiser(x, now)
            second = denoiser(first.at(after.alpha, after.sigma), after)
            half_alpha, half_sigma = (after.alpha - now.alpha) / 2, (after.sigma - now.sigma) / 2
            x = x + first.at(half_alpha, half_sigma) + second.at(half_alpha, half_sigma)
        return denoiser(x, grid[-2]).at(grid[-1].alpha, grid[-1].sigma)


class DDIM(Sampler):
    """Denoising diffusion implicit model: deterministic (eta 0) up to ancestral (eta 1).

    Args:
        num_steps: See `Sampler`; likewise ``shift`` and ``rho``.
        eta: Share of the ancestral standard deviation that is fresh noise, in [0, 1].

    Source: Song et al. 2020, "Denoising diffusion implicit models", arXiv 2010.02502, eq. 12 and
    16; ours takes both ends of a step from one continuous grid, so that any number of steps ends
    at t = 0, and does not clip the data.
    """

    def __init__(
        self, num_steps: int, eta: float = 0.0, shift: float = 1.0, rho: float = 1.0
    ) -> None:
        super().__init__(num_steps, shift, rho)
        if not 0 <= eta <= 1:
            raise UsageError(f"Expected eta in [0, 1], got {eta:g} (DDIM). 0 draws no noise.")
        self.eta = eta

    @property
    def adds_noise(self) -> bool:  # type: ignore[override]
        """Whether fresh noise enters in the steps."""
        return self.eta > 0

    def integrate(self, denoiser: Denoiser, x: Tensor, grid: Grid, generator: Generators) -> Tensor:
        """Take DDIM steps; noise is drawn when eta is above 0, but not in the last step."""
        for now, after in pairwise(grid):
            fresh = self.eta * posterior_std(now, after)
            x = denoiser(x, now).at(after.alpha, math.sqrt(after.sigma**2 - fresh**2))
            if fresh > 0:
                x = x + fresh * draw(x, generator)
        return x


class DDPM(Sampler):
    """Ancestral sampling: the mean of q(x_s | x_t, data), and fresh noise.

    Args:
        num_steps: See `Sampler`; likewise ``shift`` and ``rho``.
        data_std: Standard deviation c of the data about their expectation, >= 0, in latent units.
            For Gaussian data every intermediate x_s then has the right variance, at any number of
            steps. For variance-preserving schedules 0 is the paper's beta tilde and `DDIM` with
            eta 1, and 1 is its beta, for latents of unit variance.

    Source: Ho et al. 2020, arXiv 2006.11239, eq. 6, 7 and 11; the variance between its two choices
    is Bao et al. 2022, "Analytic-DPM", arXiv 2201.06503, theorem 1, with c given rather than
    estimated. Ours takes the coefficients of the actual step from t to s (Kingma et al. 2021, arXiv
    2107.00630, appendix A), not from t to t - 1.

    The last step adds no noise, as in the paper: it returns the expected data at the last time but
    one, whose variance for Gaussian data is c^2 (alpha c)^2 / ((alpha c)^2 + sigma^2). A rho above
    1 makes that step, and its deviation from c^2, smaller.
    """

    adds_noise = True

    def __init__(
        self, num_steps: int, data_std: float = 1.0, shift: float = 1.0, rho: float = 1.0
    ) -> None:
        super().__init__(num_steps, shift, rho)
        if data_std < 0:
            raise UsageError(f"Expected data_std >= 0, got {data_std:g} (DDPM). 1 fits latents.")
        self.data_std = data_std

    def integrate(self, denoiser: Denoiser, x: Tensor, grid: Grid, generator: Generators) -> Tensor:
        """Take ancestral steps; no noise is drawn in the last."""
        for now, after in pairwise(grid):
            posterior = posterior_std(now, after)
            x = denoiser(x, now).at(after.alpha, math.sqrt(after.sigma**2 - posterior**2))
            if after.sigma > 0:
                # Weight of the data in the mean of q(x_s | x_t, data), and their std given x_t.
                weight = after.alpha * (forward_std(now, after) / now.sigma) ** 2
                doubt = self.data_std * now.sigma / math.hypot(now.alpha * self.data_std, now.sigma)
                x = x + math.hypot(posterior, weight * doubt) * draw(x, generator)
        return x


class DPMSolverPP2M(Sampler):
    """DPM-Solver++ (2M): second order from one network call a step and the previous step.

    The first and the last step are first order: there is no previous step, and log SNR is infinite
    at t = 0.

    Source: Lu et al. 2022, "DPM-Solver++", arXiv 2211.01095, algorithm 2; ours writes the
    exponentials as ratios of alpha and sigma, which are finite at both ends of the path.
    """

    def integrate(self, denoiser: Denoiser, x: Tensor, grid: Grid, generator: Generators) -> Tensor:
        """Take multistep updates; no noise is drawn."""
        before: tuple[Moment, Tensor] | None = None
        for now, after in pairwise(grid):
            data = slope = denoiser(x, now).data
            if before is not None:
                weight = extrapolation(before[0], now, after)
                slope = (1 + weight) * data - weight * before[1]
            decay = after.sigma / now.sigma
            x = decay * x + (after.alpha - now.alpha * decay) * slope
            before = now, data
        return x


def forward_std(now: Moment, after: Moment) -> float:
    """Return the standard deviation of q(x_t | x_s), s = ``after`` the cleaner moment."""
    ratio = now.alpha / after.alpha
    return math.sqrt(max(now.sigma**2 - (ratio * after.sigma) ** 2, 0.0))


def posterior_std(now: Moment, after: Moment) -> float:
    """Return the standard deviation of q(x_s | x_t, data), s = ``after`` the cleaner moment."""
    return forward_std(now, after) * after.sigma / now.sigma


def extrapolation(before: Moment, now: Moment, after: Moment) -> float:
    """Return h / (2 h_before), h being steps of log(alpha / sigma); 0 where one is infinite."""
    if before.alpha == 0 or after.sigma == 0:
        return 0.0
    first, second, third = (math.log(m.alpha / m.sigma) for m in (before, now, after))
    return (third - second) / (2 * (second - first))
