import math
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor

from mrcontrast.diffusion.samplers import DDIM, DDPM, DPMSolverPP2M, EulerFlow, HeunFlow
from mrcontrast.diffusion.sampling import Sampler
from mrcontrast.diffusion.schedules import (
    LinearBeta,
    NoiseSchedule,
    RectifiedFlow,
    ScaledLinearBeta,
)
from mrcontrast.diffusion.targets import Epsilon, Target, V, Velocity
from mrcontrast.errors import UsageError

if TYPE_CHECKING:
    from conftest import Mixture


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def order(
    kind: type[Sampler], mixture: "Mixture", noise: Tensor, schedule: NoiseSchedule, target: Target
) -> float:
    """Return how fast the error against the exact flow falls from 20 to 160 steps."""
    exact = mixture.flow(noise, schedule, schedule.latest_time(target.min_alpha))
    rho = 1.5 if isinstance(schedule, RectifiedFlow) else 3.0
    predict = mixture.predictor(schedule, target)
    coarse, fine = (
        (kind(n, rho=rho).sample(predict, noise, schedule, target) - exact).square().mean().sqrt()
        for n in (20, 160)
    )
    return math.log(coarse / fine, 8)


@pytest.mark.parametrize("kind", [EulerFlow, DDIM])
def test_first_order(
    kind: type[Sampler],
    mixture: "Mixture",
    quantiles: Tensor,
    schedule: NoiseSchedule,
    target: Target,
) -> None:
    assert order(kind, mixture, quantiles, schedule, target) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("kind", [HeunFlow, DPMSolverPP2M])
def test_second_order(
    kind: type[Sampler],
    mixture: "Mixture",
    quantiles: Tensor,
    schedule: NoiseSchedule,
    target: Target,
) -> None:
    # 2M is short of 2 by a logarithm: its first two steps are first order where alpha nears 0
    assert 1.5 < order(kind, mixture, quantiles, schedule, target) < 2.4


@pytest.mark.parametrize(
    ("sampler", "tolerance"),
    [
        (EulerFlow(10), 0.11),
        (DDIM(50, rho=2.0), 0.02),
        (HeunFlow(10, rho=2.0), 0.01),
        (DPMSolverPP2M(10, rho=2.0), 0.03),
    ],
)
def test_few_steps_land_near_the_exact_flow(
    sampler: Sampler, tolerance: float, mixture: "Mixture", quantiles: Tensor
) -> None:
    schedule, target = ScaledLinearBeta(1000, 0.00085, 0.012), V()
    out = sampler.sample(mixture.predictor(schedule, target), quantiles, schedule, target)
    error = (out - mixture.flow(quantiles, schedule, 1.0)).square().mean().sqrt()
    assert error < tolerance
    assert (out.flatten().diff() > 0).all()  # a flow keeps quantiles in their order


@pytest.mark.parametrize("start", [0.3, 0.8])
def test_a_later_start_follows_the_same_flow(
    start: float, mixture: "Mixture", quantiles: Tensor
) -> None:
    schedule, target = RectifiedFlow(), V()
    predict = mixture.predictor(schedule, target)
    out = HeunFlow(20, rho=1.5).sample(predict, quantiles, schedule, target, start=start)
    assert (out - mixture.flow(quantiles, schedule, start)).square().mean().sqrt() < 0.01


@pytest.mark.parametrize("sampler", [DDPM(50), DDPM(50, data_std=0.5, rho=2.0), DDPM(1000, 0.0)])
def test_ancestral_draws_have_the_right_mean_and_spread(
    sampler: DDPM, gaussian: "Mixture", schedule: NoiseSchedule
) -> None:
    generator = torch.Generator().manual_seed(2)
    noise = torch.randn(40, 1, 20, 15, generator=generator)
    out = sampler.sample(gaussian.predictor(schedule, V()), noise, schedule, V(), generator)
    assert out.mean().item() == pytest.approx(0.7, abs=0.015)
    assert out.std().item() == pytest.approx(0.5, abs=0.015)


@pytest.mark.parametrize("num_steps", [2, 3, 5])
def test_ancestral_spread_is_as_the_docstring_says_in_few_steps(
    gaussian: "Mixture", num_steps: int, schedule: NoiseSchedule
) -> None:
    """Right for every x_t that the network sees; that of the clean estimate in closed form."""
    generator = torch.Generator().manual_seed(2)
    noise = torch.randn(40, 1, 50, 40, generator=generator)
    exact, seen = gaussian.predictor(schedule, V()), []

    def predict(x_t: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = (float(weight(t[:1])) for weight in (schedule.alpha, schedule.sigma))
        assert x_t.var().item() == pytest.approx((0.5 * alpha) ** 2 + sigma**2, rel=0.03)
        seen.append((alpha, sigma))
        return exact(x_t, t)

    out = DDPM(num_steps, data_std=0.5).sample(predict, noise, schedule, V(), generator)
    alpha, sigma = seen[-1]
    assert len(seen) == num_steps
    kept = (0.5 * alpha) ** 2 / ((0.5 * alpha) ** 2 + sigma**2)
    assert out.var().item() == pytest.approx(0.25 * kept, rel=0.03)


def test_ddpm_without_spread_of_the_data_is_ddim_with_eta_one(
    mixture: "Mixture", quantiles: Tensor, schedule: NoiseSchedule, target: Target
) -> None:
    predict = mixture.predictor(schedule, target)
    first, second = (
        sampler.sample(predict, quantiles, schedule, target, seeded(4))
        for sampler in (DDPM(7, data_std=0.0), DDIM(7, eta=1.0))
    )
    torch.testing.assert_close(first, second)


def test_unit_spread_takes_the_forward_variance(quantiles: Tensor) -> None:
    """For variance-preserving schedules data_std 1 is the larger of the paper's two choices."""
    schedule, target = LinearBeta(2, 0.36, 0.75), Epsilon()
    fresh = torch.randn(quantiles.shape, dtype=torch.float64, generator=seeded(5))
    out = DDPM(2, data_std=1.0).sample(
        lambda x, t: x * schedule.sigma(t).reshape(-1, 1, 1, 1),
        quantiles,
        schedule,
        target,
        seeded(5),
    )
    # alpha_1 = .4, alpha_.5 = .8, ratio .5; data estimate .4 x, forward variance .75
    mean = (0.5 * 0.36 / 0.84) * quantiles + (0.8 * 0.75 / 0.84) * 0.4 * quantiles
    torch.testing.assert_close(out, 0.8 * (mean + math.sqrt(0.75) * fresh), rtol=1e-5, atol=1e-5)


def test_euler_is_ddim_and_on_straight_paths_eulers_method(
    mixture: "Mixture", quantiles: Tensor, schedule: NoiseSchedule
) -> None:
    target = Velocity()
    predict = mixture.predictor(schedule, target)
    out = EulerFlow(6).sample(predict, quantiles, schedule, target)
    assert torch.equal(out, DDIM(6).sample(predict, quantiles, schedule, target))
    x = quantiles
    for step in range(6):
        x = x - predict(x, torch.full((2,), 1 - step / 6, dtype=x.dtype)) / 6
    assert torch.allclose(out, x) == isinstance(schedule, RectifiedFlow)


def test_heun_on_straight_paths_is_heuns_method(mixture: "Mixture", quantiles: Tensor) -> None:
    schedule, target = RectifiedFlow(), Velocity()
    predict = mixture.predictor(schedule, target)
    t = torch.ones(2, dtype=torch.float64)
    slope = predict(quantiles, t)
    half = quantiles - (slope + predict(quantiles - slope / 2, t / 2)) / 4
    by_hand = half - predict(half, t / 2) / 2
    out = HeunFlow(2).sample(predict, quantiles, schedule, target)
    torch.testing.assert_close(out, by_hand)


@pytest.mark.parametrize(
    "sampler", [EulerFlow(5), HeunFlow(5), DDIM(5), DDIM(5, eta=0.5), DDPM(5), DPMSolverPP2M(5)]
)
def test_num_calls_is_counted_right_and_one_point_is_found_exactly(
    sampler: Sampler, schedule: NoiseSchedule, target: Target
) -> None:
    """If all data are one image, each sampler returns it, in 3D as well."""
    image = torch.randn(1, 2, 4, 3, 5, generator=seeded(0), dtype=torch.float64)
    calls = []

    def predict(x_t: Tensor, t: Tensor) -> Tensor:
        calls.append(t)
        alpha, sigma = (w.reshape(-1, 1, 1, 1, 1) for w in (schedule.alpha(t), schedule.sigma(t)))
        return target.regression_target(image, (x_t - alpha * image) / sigma, alpha, sigma)

    noise = torch.randn(2, 2, 4, 3, 5, dtype=torch.float64, generator=seeded(1))
    out = sampler.sample(predict, noise, schedule, target, seeded(3))
    assert len(calls) == sampler.num_calls
    torch.testing.assert_close(out, image.expand_as(out))


@pytest.mark.parametrize("sampler", [DDIM(4, eta=1.0), DDPM(4)])
def test_an_item_does_not_depend_on_its_batch(sampler: Sampler, mixture: "Mixture") -> None:
    schedule, target = RectifiedFlow(), Velocity()
    predict = mixture.predictor(schedule, target)
    noise = torch.randn(3, 1, 5, 4, generator=seeded(0))
    batch = sampler.sample(predict, noise, schedule, target, [seeded(i) for i in range(3)])
    alone = sampler.sample(predict, noise[2:], schedule, target, [seeded(2)])
    torch.testing.assert_close(batch[2:], alone)


@pytest.mark.parametrize("sampler", [EulerFlow(1), HeunFlow(1), DDIM(1), DDPM(1), DPMSolverPP2M(1)])
def test_one_step_is_the_clean_estimate(sampler: Sampler, gaussian: "Mixture") -> None:
    schedule, target = RectifiedFlow(), Velocity()
    noise = torch.randn(2, 1, 5, 4, generator=seeded(0))
    out = sampler.sample(gaussian.predictor(schedule, target), noise, schedule, target)
    torch.testing.assert_close(out, torch.full_like(out, 0.7))


def test_impossible_noise_levels_are_refused() -> None:
    with pytest.raises(UsageError, match="eta in"):
        DDIM(5, eta=1.5)
    with pytest.raises(UsageError, match="data_std >= 0"):
        DDPM(5, data_std=-1.0)
