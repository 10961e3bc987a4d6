"""Noise along the slices of a volume."""

import math

import pytest
import torch

from mrcontrast.diffusion.samplers import DDIM, DDPM
from mrcontrast.diffusion.sampling import Sampler
from mrcontrast.diffusion.schedules import RectifiedFlow
from mrcontrast.diffusion.targets import Velocity
from mrcontrast.inference.slice_noise import NoiseInSteps, slice_noise

SHAPE = (3, 64, 64)
Z = torch.arange(13)


def correlations(noise: torch.Tensor) -> torch.Tensor:
    return torch.corrcoef(noise.flatten(1))


def test_every_slice_is_standard_normal() -> None:
    noise = slice_noise(SHAPE, 5, Z, 4)
    assert noise.shape == (len(Z), *SHAPE)
    torch.testing.assert_close(noise.flatten(1).std(1), torch.ones(len(Z)), atol=0.03, rtol=0)


def test_it_turns_gently() -> None:
    """cos(pi / 2 * i / 4) for slices i apart within a turn, and none a turn apart."""
    found = correlations(slice_noise(SHAPE, 5, Z, 4))
    for i in range(5):
        assert found[4, 4 + i] == pytest.approx(math.cos(math.pi / 2 * i / 4), abs=0.03)
    assert abs(found[0, 8]) < 0.03


def test_slices_of_no_turn_share_one_field() -> None:
    noise = slice_noise(SHAPE, 5, Z, 0)
    assert torch.equal(noise[0], noise[-1])


def test_it_depends_on_seed_and_place_alone() -> None:
    whole = slice_noise(SHAPE, 5, Z, 4)
    assert torch.equal(slice_noise(SHAPE, 5, Z[6:9], 4), whole[6:9])
    assert abs(correlations(torch.stack([whole[0], slice_noise(SHAPE, 6, Z, 4)[0]]))[0, 1]) < 0.03


@pytest.mark.parametrize(("sampler", "steps"), [(DDIM(3, eta=1.0), 2), (DDPM(3), 2)])
def test_noise_on_the_way_is_new_at_each_step_and_turns_as_the_first(
    sampler: Sampler, steps: int
) -> None:
    """DDIM with eta and DDPM: neighbours alike, other slices not, and no step like another."""
    drawn = []

    class Watched(NoiseInSteps):
        def __call__(self, like: torch.Tensor) -> torch.Tensor:
            drawn.append(super().__call__(like))
            return drawn[-1]

    def sample(z: torch.Tensor) -> torch.Tensor:
        start = torch.zeros(len(z), *SHAPE)
        return sampler.sample(
            lambda x, t: 0 * x, start, RectifiedFlow(), Velocity(), Watched(5, z, 4)
        )

    whole = sample(Z)
    assert len(drawn) == steps
    for noise in drawn:
        found = correlations(noise)
        assert found[4, 6] == pytest.approx(math.cos(math.pi / 4), abs=0.03)
        assert abs(found[0, 4]) < 0.03
        torch.testing.assert_close(noise.flatten(1).std(1), torch.ones(len(Z)), atol=0.03, rtol=0)
    assert abs(correlations(torch.stack([drawn[0][2], drawn[1][2]]))[0, 1]) < 0.03
    torch.testing.assert_close(sample(Z[6:9]), whole[6:9])
    assert whole.std() > 0.1
