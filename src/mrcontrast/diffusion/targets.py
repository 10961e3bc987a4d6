"""Regression targets: what the network is trained to say about x_t = alpha z + sigma noise.

Everywhere ``z`` (data), ``noise``, ``z_t`` and ``prediction`` are (B, C, *S); ``alpha`` and
``sigma`` are (B,). Results are in the widest of the dtypes given, so float32 with float32 weights.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor

from mrcontrast.diffusion.schedules import per_item


class Target(ABC):
    """A linear combination of data and noise, and the way back from it.

    Attributes:
        min_alpha: Smallest alpha at which data can be told from the prediction; samplers start
            no later than the schedule's time of that alpha.
    """

    min_alpha: ClassVar[float] = 0.0

    @abstractmethod
    def regression_target(self, z: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return what the network should predict for data ``z`` and ``noise``, (B, C, *S)."""

    @abstractmethod
    def to_data(self, prediction: Tensor, z_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return the data that the prediction implies, (B, C, *S)."""

    @abstractmethod
    def to_noise(self, prediction: Tensor, z_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return the noise that the prediction implies, (B, C, *S)."""


class Epsilon(Target):
    """The noise itself.

    Data is (z_t - sigma noise) / alpha, which blows up the network's error as alpha nears 0;
    below ``min_alpha`` the divisor is held, so the result stays finite and shrinks to 0. With
    schedules whose alpha nears 0 at t = 1 (cosine, rectified flow) prefer `V` or `Velocity`.

    Source: Ho et al. 2020, arXiv 2006.11239, eq. 14 and 15; the floor of alpha is ours, just under
    the 0.0064 at which that paper's own schedule ends.
    """

    min_alpha: ClassVar[float] = 0.005

    def regression_target(self, z: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return the noise."""
        return noise

    def to_data(self, prediction: Tensor, z_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return (z_t - sigma prediction) / max(alpha, min_alpha)."""
        alpha, sigma = per_item(alpha, z_t).clamp_min(self.min_alpha), per_item(sigma, z_t)
        return (z_t - sigma * prediction) / alpha

    def to_noise(self, prediction: Tensor, z_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return the prediction."""
        return prediction


class V(Target):
    """The angular velocity v = alpha noise - sigma data.

    Source: Salimans and Ho 2022, "Progressive distillation", arXiv 2202.00512, appendix D. Ours
    divides by alpha^2 + sigma^2, which is 1 there, so that it holds for rectified flow too.
    """

    def regression_target(self, z: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return alpha noise - sigma z."""
        return per_item(alpha, z) * noise - per_item(sigma, z) * z

    def to_data(self, prediction: Tensor, z_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return (alpha z_t - sigma v) / (alpha^2 + sigma^2)."""
        alpha, sigma = per_item(alpha, z_t), per_item(sigma, z_t)
        return (alpha * z_t - sigma * prediction) / (alpha**2 + sigma**2)

    def to_noise(self, prediction: Tensor, z_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return (sigma z_t + alpha v) / (alpha^2 + sigma^2)."""
        alpha, sigma = per_item(alpha, z_t), per_item(sigma, z_t)
        return (sigma * z_t + alpha * prediction) / (alpha**2 + sigma**2)


class Velocity(Target):
    """The velocity of the straight path, u = noise - data.

    Source: Liu et al. 2022, arXiv 2209.03003, eq. 1, with the sign that belongs to data at t = 0
    (Esser et al. 2024, arXiv 2403.03206). The way back divides by alpha + sigma, which is 1
    for rectified flow, so that it holds for the other schedules too.
    """

    def regression_target(self, z: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return noise - z."""
        return noise - z

    def to_data(self, prediction: Tensor, z_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return (z_t - sigma u) / (alpha + sigma)."""
        alpha, sigma = per_item(alpha, z_t), per_item(sigma, z_t)
        return (z_t - sigma * prediction) / (alpha + sigma)

    def to_noise(self, prediction: Tensor, z_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return (z_t + alpha u) / (alpha + sigma)."""
        alpha, sigma = per_item(alpha, z_t), per_item(sigma, z_t)
        return (z_t + alpha * prediction) / (alpha + sigma)


class Data(Target):
    """The data itself, as regression predicts it.

    The network need not carry the noise through to its output, which spares small networks and
    short trainings most of their work: at t = 1 the best prediction is the mean of the data given
    the condition, whatever the noise. Noise is (z_t - alpha data) / sigma, undefined at sigma 0,
    where samplers never ask; below ``MIN_SIGMA`` the divisor is held so that it stays finite.

    Source: Li and He 2025, "Back to basics: let denoising generative models denoise", arXiv
    2511.13720; ours keeps the loss on the data where theirs moves it to the velocity.
    """

    MIN_SIGMA: ClassVar[float] = 1e-4

    def regression_target(self, z: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return the data."""
        return z

    def to_data(self, prediction: Tensor, z_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return the prediction."""
        return prediction

    def to_noise(self, prediction: Tensor, z_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return (z_t - alpha data) / max(sigma, MIN_SIGMA)."""
        alpha, sigma = per_item(alpha, z_t), per_item(sigma, z_t).clamp_min(self.MIN_SIGMA)
        return (z_t - alpha * prediction) / sigma
