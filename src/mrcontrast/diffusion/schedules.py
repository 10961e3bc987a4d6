"""Noise schedules: x_t = alpha(t) * data + sigma(t) * noise for t in [0, 1]."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn

from mrcontrast.errors import UsageError


def per_item(values: Tensor, like: Tensor) -> Tensor:
    """Reshape one value an item, (B,), to (B, 1, ..., 1) with as many axes as ``like``."""
    return values.reshape(-1, *[1] * (like.ndim - 1))


class NoiseSchedule(nn.Module, ABC):
    """Weights of data and noise at each time.

    ``t`` is (B,) in [0, 1]: 0 is data (alpha 1, sigma 0), 1 is noise. Results are (B,) on the
    device of ``t``, in float64 where ``t`` is float64, else in float32.

    Source: Kingma et al. 2021, "Variational diffusion models", arXiv 2107.00630, eq. 1.
    """

    @abstractmethod
    def alpha(self, t: Tensor) -> Tensor:
        """Return the weight of the data, (B,), falling from 1."""

    @abstractmethod
    def sigma(self, t: Tensor) -> Tensor:
        """Return the weight of the noise, (B,), rising from 0."""

    def add_noise(self, z: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """Return x_t = alpha(t) z + sigma(t) noise, (B, C, *S), in the dtype of ``z``.

        Data ``z`` and standard normal ``noise`` are (B, C, *S), ``t`` is (B,) in [0, 1].
        """
        alpha, sigma = per_item(self.alpha(t), z), per_item(self.sigma(t), z)
        return (alpha * z + sigma * noise).to(z.dtype)

    def latest_time(self, min_alpha: float) -> float:
        """Return the latest t in [0, 1] with alpha(t) >= ``min_alpha`` in [0, 1], by bisection."""

        def reaches(t: float) -> bool:
            return self.alpha(torch.tensor([t], dtype=torch.float64)).item() >= min_alpha

        low, high = 0.0, 1.0
        if reaches(high):
            return high
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (middle, high) if reaches(middle) else (low, middle)
        return low


class RectifiedFlow(NoiseSchedule):
    """Straight lines from data to noise: alpha = 1 - t, sigma = t.

    Source: Liu et al. 2022, "Flow straight and fast", arXiv 2209.03003, eq. 1; the Gaussian
    conditional path with sigma_min = 0 of Lipman et al. 2022, arXiv 2210.02747, eq. 20. Both have
    the data at t = 1, ours at 0 as in Esser et al. 2024, arXiv 2403.03206.
    """

    def alpha(self, t: Tensor) -> Tensor:
        """Return 1 - t."""
        return 1 - at_least_float32(t)

    def sigma(self, t: Tensor) -> Tensor:
        """Return t."""
        return at_least_float32(t)


class VariancePreserving(NoiseSchedule):
    """A table of T noise levels made continuous: alpha^2 = alpha_bar, sigma^2 = 1 - alpha_bar.

    Step k in 0..T-1 of the papers is t = (k + 1) / T, and alpha_bar(0) = 1. Between the steps log
    alpha_bar is linear in t, so the SNR falls strictly. alpha(1) is small but not 0, so sampling
    from pure noise has a small bias of the mean. The table is a float32 buffer outside the state
    dict, which moves with the device and keeps its dtype. ``betas`` are the variances added in each
    step, (T,), float64, in (0, 1).

    Source: Ho et al. 2020, "Denoising diffusion probabilistic models", arXiv 2006.11239, eq. 4;
    interpolated as in the released code of Lu et al. 2022, arXiv 2206.00927.
    """

    log_alpha_bar: Tensor

    def __init__(self, betas: Tensor) -> None:
        super().__init__()
        low, high = betas.min().item(), betas.max().item()
        if low <= 0 or high >= 1:
            raise UsageError(
                f"Expected betas in (0, 1), got {low:g} to {high:g}. Change the schedule's range."
            )
        table = torch.cat([betas.new_zeros(1), torch.log1p(-betas).cumsum(0)])
        self.register_buffer("log_alpha_bar", table.float(), persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move the table with the module, but keep it in float32."""
        table = self.log_alpha_bar
        module: Any = super()._apply(fn, recurse)
        self.log_alpha_bar = table.to(self.log_alpha_bar.device)
        return module

    def alpha(self, t: Tensor) -> Tensor:
        """Return sqrt(alpha_bar(t))."""
        return torch.exp(self._log_alpha_bar(t) / 2)

    def sigma(self, t: Tensor) -> Tensor:
        """Return sqrt(1 - alpha_bar(t))."""
        return torch.sqrt(-torch.expm1(self._log_alpha_bar(t)))

    def _log_alpha_bar(self, t: Tensor) -> Tensor:
        t = at_least_float32(t)
        table = self.log_alpha_bar.to(t.device).to(t.dtype)
        position = t * (len(table) - 1)
        index = position.floor().clamp(0, len(table) - 2).long()
        return torch.lerp(table[index], table[index + 1], position - index)


class LinearBeta(VariancePreserving):
    """Linear betas, from ``beta_start`` to ``beta_end`` in (0, 1) over T >= 2 steps.

    Source: Ho et al. 2020, arXiv 2006.11239, section 4 (T = 1000, 1e-4 to 0.02).
    """

    def __init__(self, num_train_steps: int, beta_start: float, beta_end: float) -> None:
        super().__init__(linspace(beta_start, beta_end, num_train_steps))


class ScaledLinearBeta(VariancePreserving):
    """Betas with linear square roots, from ``beta_start`` to ``beta_end`` in (0, 1).

    Source: Rombach et al. 2022, "High-resolution image synthesis with latent diffusion models",
    arXiv 2112.10752, its released code.
    """

    def __init__(self, num_train_steps: int, beta_start: float, beta_end: float) -> None:
        roots = linspace(math.sqrt(beta_start), math.sqrt(beta_end), num_train_steps)
        super().__init__(roots**2)


class CosineBeta(VariancePreserving):
    """alpha_bar as a squared cosine.

    ``offset`` is s of the paper, >= 0, which keeps the first betas above 0; ``max_beta`` is the cap
    of beta, in (0, 1), which keeps alpha(1) above 0. T is at least 2.

    Source: Nichol and Dhariwal 2021, "Improved DDPM", arXiv 2102.09672, eq. 17 (s = 0.008, cap
    0.999).
    """

    def __init__(self, num_train_steps: int, offset: float, max_beta: float) -> None:
        t = linspace(0.0, 1.0, num_train_steps + 1)
        alpha_bar = torch.cos((t + offset) / (1 + offset) * math.pi / 2) ** 2
        super().__init__((1 - alpha_bar[1:] / alpha_bar[:-1]).clamp_max(max_beta))


def at_least_float32(t: Tensor) -> Tensor:
    """Return ``t`` in float32, or untouched where it is float64."""
    return t if t.dtype == torch.float64 else t.float()


def linspace(start: float, end: float, steps: int) -> Tensor:
    """Return ``steps`` even values in float64; raise UsageError for fewer than two."""
    if steps < 2:
        raise UsageError(
            f"Expected at least 2 steps, got {steps} (num_train_steps). Papers take 1000."
        )
    return torch.linspace(start, end, steps, dtype=torch.float64)
