"""The diffusion process of a stage: training loss and sampling."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mrcontrast.diffusion.sampling import Generators, Predict, Sampler
from mrcontrast.diffusion.schedules import NoiseSchedule
from mrcontrast.diffusion.targets import Target
from mrcontrast.diffusion.time_sampling import TimeSampler


class DiffusionProcess(nn.Module):
    """Schedule, target, training times and sampler, which must agree.

    Everywhere ``predict(x_t, t)`` is the network, from noisy data (B, C, *S) and times (B,) in
    [0, 1] to the prediction that ``target`` defines, (B, C, *S).

    Args:
        schedule: Weights of data and noise over time.
        target: Meaning of the network's prediction.
        times: Distribution of training times.
        sampler: Solver from noise to data.
    """

    def __init__(
        self, schedule: NoiseSchedule, target: Target, times: TimeSampler, sampler: Sampler
    ) -> None:
        super().__init__()
        self.schedule = schedule
        self.target = target
        self.times = times
        self.sampler = sampler

    def loss(self, predict: Predict, x: Tensor) -> Tensor:
        """Return the mean squared error at random times and noise for data (B, C, *S)."""
        t = self.times.sample(len(x), device=x.device)
        return self.error(predict, x, torch.randn_like(x), t)

    def error(self, predict: Predict, x: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """Return the mean squared error at given noise (B, C, *S) and times (B,), a scalar."""
        x_t = self.schedule.add_noise(x, noise, t)
        wanted = self.target.regression_target(
            x, noise, self.schedule.alpha(t), self.schedule.sigma(t)
        )
        return F.mse_loss(predict(x_t, t), wanted)

    def validation_error(self, predict: Predict, x: Tensor, seed: int) -> Tensor:
        """Return the error at times spread evenly over the batch and noise fixed by a seed."""
        t = (torch.arange(len(x), device=x.device) + 0.5) / len(x)
        return self.error(predict, x, fixed_noise(x, seed), t)

    def denoise(self, predict: Predict, x: Tensor, noise: Tensor, time: float) -> Tensor:
        """Return the one-step estimate of ``x`` (B, C, *S) from its noisy version at a time."""
        t = torch.full((len(x),), time, device=x.device)
        x_t = self.schedule.add_noise(x, noise, t)
        return self.target.to_data(
            predict(x_t, t), x_t, self.schedule.alpha(t), self.schedule.sigma(t)
        )

    def sample(self, predict: Predict, noise: Tensor, generator: Generators = None) -> Tensor:
        """Turn noise (B, C, *S) into data of the same shape; see ``Sampler.sample``."""
        return self.sampler.sample(predict, noise, self.schedule, self.target, generator)

    def refine(
        self,
        predict: Predict,
        guess: Tensor,
        noise: Tensor,
        start: float,
        generator: Generators = None,
    ) -> Tensor:
        """Sample from a guess of the data, with noise added up to a time.

        Args:
            predict: The network.
            guess: (B, C, *S).
            noise: Standard normal, (B, C, *S).
            start: The time, in (0, 1].
            generator: See ``Sampler.sample``.

        Source: Meng et al. 2022, "SDEdit", arXiv 2108.01073, algorithm 1; Chung et al. 2022,
        "Come-closer-diffuse-faster", arXiv 2112.05146, algorithm 1, from a network's guess.
        """
        t = torch.full((len(guess),), start, device=guess.device)
        x_t = self.schedule.add_noise(guess, noise, t)
        return self.sampler.sample(predict, x_t, self.schedule, self.target, generator, start)


def fixed_noise(like: Tensor, seed: int) -> Tensor:
    """Return standard normal noise of a tensor's shape, from a seed."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(like.shape, generator=generator).to(like)
