"""The diffusion process of a stage: training error and sampling."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mrcontrast.diffusion.sampling import Predict, Sampler
from mrcontrast.diffusion.schedules import NoiseSchedule
from mrcontrast.diffusion.targets import Target
from mrcontrast.diffusion.time_sampling import TimeSampler


class DiffusionProcess(nn.Module):
    """Schedule, target, training times and sampler, which must agree with each other.

    Everywhere ``predict(x_t, t)`` is the network: noisy data (B, C, *S) and times (B,) in [0, 1]
    to what ``target`` defines, (B, C, *S).
    """

    def __init__(
        self, schedule: NoiseSchedule, target: Target, times: TimeSampler, sampler: Sampler
    ) -> None:
        super().__init__()
        self.schedule, self.target = schedule, target
        self.times, self.sampler = times, sampler

    def error(self, predict: Predict, x: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """Return the mean squared error at given noise (B, C, *S) and times (B,), a scalar."""
        x_t = self.schedule.add_noise(x, noise, t)
        weights = self.schedule.alpha(t), self.schedule.sigma(t)
        return F.mse_loss(predict(x_t, t), self.target.regression_target(x, noise, *weights))

    def noisy(self, x: Tensor, noise: Tensor, time: float) -> Tensor:
        """Return data (B, C, *S) with noise of a time in (0, 1] added."""
        return self.schedule.add_noise(x, noise, torch.full((len(x),), time, device=x.device))

    def denoise(self, predict: Predict, x: Tensor, noise: Tensor, time: float) -> Tensor:
        """Return the one-step estimate of ``x`` (B, C, *S) from its noisy version at a time."""
        t = torch.full((len(x),), time, device=x.device)
        x_t = self.schedule.add_noise(x, noise, t)
        weights = self.schedule.alpha(t), self.schedule.sigma(t)
        return self.target.to_data(predict(x_t, t), x_t, *weights)


def fixed_noise(like: Tensor, seed: int) -> Tensor:
    """Return standard normal noise of a tensor's shape that depends on the seed alone."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(like.shape, generator=generator).to(like)
