"""Data whose optimal network is known in closed form."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from mrcontrast.diffusion.schedules import (
    CosineBeta,
    LinearBeta,
    NoiseSchedule,
    RectifiedFlow,
    ScaledLinearBeta,
    per_item,
)
from mrcontrast.diffusion.targets import Data, Epsilon, Target, V, Velocity

SCHEDULES = {
    "rectified_flow": lambda: RectifiedFlow(),
    "linear": lambda: LinearBeta(1000, 1e-4, 0.02),
    "scaled_linear": lambda: ScaledLinearBeta(1000, 0.00085, 0.012),
    "cosine": lambda: CosineBeta(1000, 0.008, 0.999),
}


class Mixture:
    """Voxels drawn each by itself from a mixture of Gaussians: (weight, mean, sd) a component."""

    def __init__(self, *components: tuple[float, float, float]) -> None:
        self.weight, self.mean, self.sd = torch.tensor(components, dtype=torch.float64).T

    def predictor(
        self, schedule: NoiseSchedule, target: Target
    ) -> Callable[[Tensor, Tensor], Tensor]:
        """Return the network of least squared error."""

        def predict(x_t: Tensor, t: Tensor) -> Tensor:
            alpha, sigma = per_item(schedule.alpha(t), x_t), per_item(schedule.sigma(t), x_t)
            gap = x_t[..., None] - alpha[..., None] * self.mean
            variance = (alpha[..., None] * self.sd) ** 2 + sigma[..., None] ** 2
            share = torch.softmax(
                self.weight.log() - variance.log() / 2 - gap**2 / variance / 2, -1
            )
            z = self.mean + alpha[..., None] * self.sd**2 / variance * gap
            noise = sigma[..., None] * gap / variance
            z, noise = (share * z).sum(-1), (share * noise).sum(-1)
            return target.regression_target(z, noise, alpha, sigma).to(x_t.dtype)

        return predict

    def cdf(self, x: Tensor, alpha: float, sigma: float) -> Tensor:
        sd = torch.sqrt((alpha * self.sd) ** 2 + sigma**2)
        return (self.weight * torch.special.ndtr((x[..., None] - alpha * self.mean) / sd)).sum(-1)

    def flow(self, x: Tensor, schedule: NoiseSchedule, start: float) -> Tensor:
        """Carry ``x`` from time ``start`` to 0 along the flow, which keeps quantiles."""
        t = torch.tensor([start], dtype=torch.float64)
        share = self.cdf(x, schedule.alpha(t).item(), schedule.sigma(t).item())
        low, high = torch.full_like(x, -20), torch.full_like(x, 20)
        for _ in range(60):
            middle = (low + high) / 2
            below = self.cdf(middle, 1.0, 0.0) < share
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return low


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def mixture() -> Mixture:
    return Mixture((0.3, -1.0, 0.3), (0.7, 0.8, 0.5))


@pytest.fixture
def gaussian() -> Mixture:
    return Mixture((1.0, 0.7, 0.5))


@pytest.fixture
def quantiles() -> Tensor:
    """Even quantiles of standard normal noise, (2, 1, 4, 3), float64."""
    u = (torch.arange(24, dtype=torch.float64) + 0.5) / 24
    return torch.special.ndtri(u).reshape(2, 1, 4, 3)


@pytest.fixture(params=SCHEDULES.values(), ids=SCHEDULES.keys())
def schedule(request: pytest.FixtureRequest) -> NoiseSchedule:
    return request.param()


@pytest.fixture(params=[Data, Epsilon, V, Velocity], ids=lambda kind: kind.__name__)
def target(request: pytest.FixtureRequest) -> Target:
    return request.param()
