"""Noise of the slices of a volume, correlated between neighbours."""

import math

import numpy as np
import torch
from torch import Tensor

ALONG_Z = 2**32 - 2  # stream of a sample for the noise fields along its slices


def slice_noise(shape: tuple[int, ...], seed: int, z: Tensor, noise_turn: int) -> Tensor:
    """Return standard normal noise (B, *shape) of slices, which turns into other noise along z.

    Independent fields stand ``noise_turn`` slices apart; 0 gives all slices one field. A slice
    between two of them takes both, weighed by cosine and sine of a quarter turn, so its variance is
    1 as theirs. Slices that lie i apart within a turn correlate by cos(pi / 2 * i / noise_turn).
    The noise, on the CPU, depends on seed and places ``z`` (B,) alone.
    """
    if noise_turn == 0:
        return noise_field(shape, seed).expand(len(z), *shape)
    fields: dict[int, Tensor] = {}

    def field(index: int) -> Tensor:
        if index not in fields:
            fields[index] = noise_field(shape, stream(stream(seed, ALONG_Z), index))
        return fields[index]

    def turned(place: int) -> Tensor:
        index, rest = divmod(place, noise_turn)
        angle = math.pi / 2 * rest / noise_turn
        if rest == 0:
            return field(index)
        return math.cos(angle) * field(index) + math.sin(angle) * field(index + 1)

    return torch.stack([turned(place) for place in z.tolist()])


class NoiseInSteps:
    """Noise of slices that a sampler adds in its steps; each call gives other fields."""

    def __init__(self, seed: int, z: Tensor, noise_turn: int) -> None:
        self.seed, self.z, self.noise_turn = seed, z, noise_turn
        self.calls = 0

    def __call__(self, like: Tensor) -> Tensor:
        """Return noise of the shape, type and device of ``like`` (B, C, *S)."""
        self.calls += 1
        shape, seed = tuple(like.shape[1:]), stream(self.seed, self.calls)
        return slice_noise(shape, seed, self.z, self.noise_turn).to(like)


def noise_field(shape: tuple[int, ...], seed: int) -> Tensor:
    """Return standard normal noise of ``shape`` on the CPU."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def stream(seed: int, index: int) -> int:
    """Return the seed of one of many independent streams; the first is the seed itself.

    Neighbouring seeds share no stream, as seed + index would.

    Source: ``numpy.random.SeedSequence``, after O'Neill 2015.
    """
    if index == 0:
        return seed
    return int(np.random.SeedSequence([seed, index]).generate_state(1, np.uint64)[0] >> 1)
