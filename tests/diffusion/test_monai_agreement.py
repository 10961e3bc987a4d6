"""MONAI's schedulers where they are right: tables, add_noise, v, all trained steps."""

import pytest
import torch
from monai.networks.schedulers import DDIMScheduler, DDPMScheduler, RFlowScheduler
from torch import Tensor

from mrcontrast.diffusion.samplers import DDIM, DDPM
from mrcontrast.diffusion.sampling import Sampler
from mrcontrast.diffusion.schedules import (
    CosineBeta,
    LinearBeta,
    NoiseSchedule,
    RectifiedFlow,
    ScaledLinearBeta,
)
from mrcontrast.diffusion.targets import Epsilon, Target, V, Velocity

STEPS = 40
BETAS = {"beta_start": 0.002, "beta_end": 0.3}


@pytest.mark.parametrize(
    ("ours", "name", "arguments"),
    [
        (LinearBeta(1000, 1e-4, 0.02), "linear_beta", {}),
        (
            ScaledLinearBeta(1000, 0.00085, 0.012),
            "scaled_linear_beta",
            {"beta_start": 0.00085, "beta_end": 0.012},
        ),
        (CosineBeta(1000, 0.008, 0.999), "cosine", {}),
    ],
)
def test_table_noise_and_v(ours: NoiseSchedule, name: str, arguments: dict[str, float]) -> None:
    theirs = DDPMScheduler(1000, name, **arguments)
    step = torch.arange(1000)
    t = (step + 1) / 1000
    torch.testing.assert_close(ours.alpha(t) ** 2, theirs.alphas_cumprod, rtol=3e-4, atol=1e-6)
    z, noise = torch.randn(2, 1000, 1, 3, 2)
    torch.testing.assert_close(
        ours.add_noise(z, noise, t), theirs.add_noise(z, noise, step), rtol=1e-4, atol=1e-4
    )
    v = V().regression_target(z, noise, ours.alpha(t), ours.sigma(t))
    torch.testing.assert_close(v, theirs.get_velocity(z, noise, step), rtol=1e-4, atol=1e-4)


def network(x: Tensor) -> Tensor:
    return torch.tanh(x) - 0.2


def walk(scheduler: DDPMScheduler | DDIMScheduler, x: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    scheduler.set_timesteps(STEPS)
    for step in scheduler.timesteps.tolist():
        x = scheduler.step(network(x), step, x, generator=generator)[0]
    return x


@pytest.mark.parametrize(("kind", "target"), [("epsilon", Epsilon()), ("v_prediction", V())])
@pytest.mark.parametrize(("variance", "data_std"), [("fixed_small", 0.0), ("fixed_large", 1.0)])
def test_ddpm_at_full_steps(kind: str, target: Target, variance: str, data_std: float) -> None:
    theirs = DDPMScheduler(
        STEPS, variance_type=variance, prediction_type=kind, clip_sample=False, **BETAS
    )
    check(DDPM(STEPS, data_std), theirs, target)


def test_ddim_at_full_steps() -> None:
    check(DDIM(STEPS), DDIMScheduler(STEPS, clip_sample=False, **BETAS), Epsilon())


def check(sampler: Sampler, theirs: DDPMScheduler | DDIMScheduler, target: Target) -> None:
    noise = torch.randn(2, 1, 5, 4, generator=torch.Generator().manual_seed(0))
    out = sampler.sample(
        lambda x, t: network(x),
        noise,
        LinearBeta(STEPS, **BETAS),
        target,
        torch.Generator().manual_seed(1),
    )
    torch.testing.assert_close(out, walk(theirs, noise), rtol=1e-4, atol=1e-4)


def test_rectified_flow_noise_and_the_sign_of_its_velocity() -> None:
    z, noise = torch.randn(2, 3, 1, 5, 4)
    steps = torch.tensor([100, 500, 900])
    theirs = RFlowScheduler(1000).add_noise(z, noise, steps)
    torch.testing.assert_close(RectifiedFlow().add_noise(z, noise, steps / 1000), theirs)
    one = torch.ones(3)
    assert torch.equal(Velocity().regression_target(z, noise, one, one), -(z - noise))
