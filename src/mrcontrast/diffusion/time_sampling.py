"""Training times: random t in the open interval (0, 1)."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from mrcontrast.errors import UsageError

EDGE = 1e-5  # keeps t off 0 and 1, where a target or a log SNR may be undefined


class TimeSampler(ABC):
    """Samples one time for each item of a batch.

    Args:
        stratified: Sample one quantile in each of n equal parts of (0, 1), in random order, rather
            than n independent ones: the same distribution for each item, a less noisy mean loss.

    Source: Kingma et al. 2021, arXiv 2107.00630, appendix I.1, for even times over a batch; ours
    jitters each part independently.
    """

    def __init__(self, stratified: bool = True) -> None:
        self.stratified = stratified

    @abstractmethod
    def quantile(self, u: Tensor) -> Tensor:
        """Return the quantiles of the times at ``u`` (n,) in (0, 1), (n,)."""

    def sample(
        self,
        n: int,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
    ) -> Tensor:
        """Sample times, (n,), float32, in (0, 1).

        A generator samples on its own device, which is also the default ``device``, else the CPU.
        """
        home = device if generator is None else generator.device
        u = torch.rand(n, generator=generator, device=home)
        if self.stratified:
            u = (torch.randperm(n, generator=generator, device=home) + u) / n
        t = self.quantile(u.clamp(EDGE, 1 - EDGE)).clamp(EDGE, 1 - EDGE)
        return t if device is None else t.to(device)


class UniformTimes(TimeSampler):
    """Times spread evenly over (0, 1).

    Source: Ho et al. 2020, arXiv 2006.11239, algorithm 1; ours are continuous, not one of T.
    """

    def quantile(self, u: Tensor) -> Tensor:
        """Return ``u``."""
        return u


class LogitNormalTimes(TimeSampler):
    """Times with a normal logit, which favour the middle of the path.

    ``mean`` and ``std``, above 0, are those of logit(t); a mean above 0 favours noise.

    Source: Esser et al. 2024, "Scaling rectified flow transformers", arXiv 2403.03206, eq. 19.
    """

    def __init__(self, mean: float, std: float, stratified: bool = True) -> None:
        super().__init__(stratified)
        if std <= 0:
            raise UsageError(f"Expected a std above 0, got {std:g} (LogitNormalTimes). Set it.")
        self.mean, self.std = mean, std

    def quantile(self, u: Tensor) -> Tensor:
        """Return sigmoid(mean + std * probit(u))."""
        return torch.sigmoid(self.mean + self.std * torch.special.ndtri(u))
