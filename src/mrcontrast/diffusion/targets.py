"""Regression targets of a network that sees x_t = alpha z + sigma noise.

Everywhere ``z`` (data), ``noise``, ``z_t`` and ``prediction`` are (B, C, *S); ``alpha`` and
``sigma`` are (B,). Results are in the widest of the dtypes given, so float32 with float32 weights.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor

from mrcontrast.diffusion.schedules import per_item


class Target(ABC):
    """A linear combination of data and noise, and its inverse.

    ``min_alpha`` is the smallest alpha at which the data follow from the prediction; samplers start
    no later than the schedule's time of that alpha.
    """

    min_alpha: ClassVar[float] = 0.0

    @abstractmethod
    def regression_target(self, z: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return the right prediction for data ``z`` and ``noise``, (B, C, *S)."""

    @abstractmethod
    def to_data(self, prediction: Tensor, z_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return the data that the prediction implies, (B, C, *S)."""

    @abstractmethod
    def to_noise(self, prediction: Tensor, z_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return the noise that the prediction implies, (B, C, *S)."""


class Epsilon(Target):
    """The noise itself.

    Data is (z_t - sigma noise) / alpha, which amplifies the network's error as alpha nears 0; the
    divisor is at least ``min_alpha``. With schedules whose alpha nears 0 at t = 1 (cosine,
    rectified flow) prefer `V` or `Velocity`.

    Source: Ho et al. 2020, arXiv 2006.11239, eq. 14 and 15; the floor of alpha is ours, just below
    the 0.0064 at the end of that paper's schedule.
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


class Velocity(Target):
    """The velocity of the straight path, u = noise - data.

    Source: Liu et al. 2022, arXiv 2209.03003, eq. 1, with the sign for data at t = 0 (Esser et al.
    2024, arXiv 2403.03206); ours divides by alpha + sigma, 1 for rectified flow, to hold for other
    schedules too.
    """

    def weights(self, alpha: Tensor, sigma: Tensor) -> tuple[Tensor | int, Tensor | int]:
        """Return p and q of p noise - q data."""
        return 1, 1

    def regression_target(self, z: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return p noise - q z."""
        p, q = self.weights(per_item(alpha, z), per_item(sigma, z))
        return p * noise - q * z

    def to_data(self, prediction: Tensor, z_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return (p z_t - sigma u) / (alpha p + sigma q)."""
        alpha, sigma = per_item(alpha, z_t), per_item(sigma, z_t)
        p, q = self.weights(alpha, sigma)
        return (p * z_t - sigma * prediction) / (alpha * p + sigma * q)

    def to_noise(self, prediction: Tensor, z_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return (q z_t + alpha u) / (alpha p + sigma q)."""
        alpha, sigma = per_item(alpha, z_t), per_item(sigma, z_t)
        p, q = self.weights(alpha, sigma)
        return (q * z_t + alpha * prediction) / (alpha * p + sigma * q)


class V(Velocity):
    """The angular velocity v = alpha noise - sigma data.

    Source: Salimans and Ho 2022, "Progressive distillation", arXiv 2202.00512, appendix D; ours
    divides by alpha^2 + sigma^2, 1 in the paper, to hold for rectified flow too.
    """

    def weights(self, alpha: Tensor, sigma: Tensor) -> tuple[Tensor | int, Tensor | int]:
        """Return alpha and sigma."""
        return alpha, sigma


class Data(Target):
    """The data itself, as in regression.

    The network need not carry the noise to its output, which suits small networks and short
    trainings: at t = 1 the best prediction is the mean of the data given the condition. Noise is
    (z_t - alpha data) / sigma with a divisor of at least ``MIN_SIGMA``.

    Source: Li and He 2025, "Back to basics: let denoising generative models denoise", arXiv
    2511.13720; ours has the loss on the data, theirs on the velocity.
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
