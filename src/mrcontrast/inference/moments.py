"""Mean and standard deviation of several draws."""

import torch
from torch import Tensor


class Moments:
    """Mean and standard deviation of draws that come one after the other.

    Source: Welford 1962, Technometrics 4(3): equal draws give a deviation of exactly 0.
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean = self.squares = torch.zeros(())

    def add(self, drawn: Tensor) -> None:
        """Take another draw into account."""
        self.count += 1
        change = drawn - self.mean
        self.mean = self.mean + change / self.count
        self.squares = self.squares + change * (drawn - self.mean)

    @property
    def std(self) -> Tensor:
        """The standard deviation over draws, n - 1 in the denominator; 0 for one draw."""
        return (self.squares / max(self.count - 1, 1)).clamp_min(0).sqrt()
