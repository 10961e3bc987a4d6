import pytest
import torch

from mrcontrast.diffusion.time_sampling import LogitNormalTimes, TimeSampler, UniformTimes
from mrcontrast.errors import UsageError

SAMPLERS = [
    UniformTimes(),
    UniformTimes(stratified=False),
    LogitNormalTimes(0.5, 0.8),
    LogitNormalTimes(0.5, 0.8, stratified=False),
]


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(3)


@pytest.mark.parametrize("times", SAMPLERS)
def test_draws_lie_inside_and_repeat_with_the_seed(
    times: TimeSampler, generator: torch.Generator
) -> None:
    t = times.sample(5000, generator)
    assert t.shape == (5000,)
    assert t.dtype == torch.float32
    assert t.min() > 0
    assert t.max() < 1
    assert torch.equal(t, times.sample(5000, torch.Generator().manual_seed(3)))
    assert not torch.equal(t, times.sample(5000, generator))


@pytest.mark.parametrize("times", SAMPLERS[:2])
def test_uniform_moments(times: TimeSampler, generator: torch.Generator) -> None:
    t = times.sample(20000, generator)
    assert t.mean().item() == pytest.approx(0.5, abs=0.01)
    assert t.std().item() == pytest.approx(12**-0.5, abs=0.01)


@pytest.mark.parametrize("times", SAMPLERS[2:])
def test_logits_are_normal(times: TimeSampler, generator: torch.Generator) -> None:
    logits = torch.logit(times.sample(20000, generator))
    assert logits.mean().item() == pytest.approx(0.5, abs=0.02)
    assert logits.std().item() == pytest.approx(0.8, abs=0.02)


def test_a_wide_logit_normal_stays_open(generator: torch.Generator) -> None:
    t = LogitNormalTimes(0.0, 50.0).sample(1000, generator)
    assert t.min() > 0
    assert t.max() < 1


def test_strata_hold_one_draw_each_in_random_order(generator: torch.Generator) -> None:
    t = UniformTimes().sample(8, generator)
    assert (t * 8).floor().sort().values.tolist() == list(range(8))
    assert t.tolist() != sorted(t.tolist())


def test_a_wrong_std_is_refused() -> None:
    with pytest.raises(UsageError, match="std above 0"):
        LogitNormalTimes(0.0, 0.0)
