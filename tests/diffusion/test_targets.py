import pytest
import torch

from mrcontrast.diffusion.schedules import NoiseSchedule, RectifiedFlow, per_item
from mrcontrast.diffusion.targets import Data, Epsilon, Target, V, Velocity

SHAPES = [(3, 2, 5, 4), (2, 1, 4, 3, 5)]


@pytest.mark.parametrize("shape", SHAPES, ids=["2d", "3d"])
def test_target_to_data_and_noise_and_back(
    shape: tuple[int, ...], schedule: NoiseSchedule, target: Target
) -> None:
    z, noise = torch.randn(2, *shape, dtype=torch.float64)
    t = torch.linspace(0.01, 0.95, shape[0], dtype=torch.float64)
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    z_t = schedule.add_noise(z, noise, t)
    prediction = target.regression_target(z, noise, alpha, sigma)
    data = target.to_data(prediction, z_t, alpha, sigma)
    same_noise = target.to_noise(prediction, z_t, alpha, sigma)
    torch.testing.assert_close(data, z)
    torch.testing.assert_close(same_noise, noise)
    again = target.regression_target(data, same_noise, alpha, sigma)
    torch.testing.assert_close(again, prediction)


@pytest.mark.parametrize("shape", SHAPES, ids=["2d", "3d"])
def test_weights_may_come_flat_or_shaped(shape: tuple[int, ...], target: Target) -> None:
    z, noise = torch.randn(2, *shape)
    alpha, sigma = torch.rand(2, shape[0])
    flat = target.regression_target(z, noise, alpha, sigma)
    assert torch.equal(
        flat, target.regression_target(z, noise, per_item(alpha, z), per_item(sigma, z))
    )
    assert torch.equal(
        target.to_data(flat, z, alpha, sigma),
        target.to_data(flat, z, per_item(alpha, z), per_item(sigma, z)),
    )


@pytest.mark.parametrize(
    ("kind", "expected"),
    [(Data, [3.0]), (Epsilon, [4.0]), (V, [0.6 * 4 - 0.8 * 3]), (Velocity, [1.0])],
)
def test_targets_by_hand(kind: type[Target], expected: list[float]) -> None:
    z, noise = torch.tensor([[3.0]]), torch.tensor([[4.0]])
    alpha, sigma = torch.tensor([0.6]), torch.tensor([0.8])
    got = kind().regression_target(z, noise, alpha, sigma)
    torch.testing.assert_close(got, torch.tensor([expected]))


def test_pure_noise_gives_finite_data(schedule: NoiseSchedule, target: Target) -> None:
    t = torch.ones(2)
    noise = torch.randn(2, 1, 5, 4)
    prediction = target.regression_target(torch.zeros_like(noise), noise, t * 0, t) + 0.01
    data = target.to_data(prediction, noise, schedule.alpha(t), schedule.sigma(t))
    assert data.abs().max() < 5  # an error of .01, at most divided by the floor of alpha


def test_velocity_recovers_data_from_pure_noise() -> None:
    z, noise = torch.randn(2, 2, 1, 5, 4)
    zero, one = torch.zeros(2), torch.ones(2)
    assert torch.allclose(
        Velocity().to_data(noise - z, noise, *(RectifiedFlow().alpha(one), one)), z, atol=1e-6
    )
    assert torch.allclose(Velocity().to_noise(noise - z, z, one, zero), noise, atol=1e-6)
