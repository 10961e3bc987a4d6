import copy
import math

import pytest
import torch

from mrcontrast.diffusion.schedules import CosineBeta, LinearBeta, NoiseSchedule, RectifiedFlow
from mrcontrast.errors import UsageError


def test_ends_are_data_and_noise(schedule: NoiseSchedule) -> None:
    ends = torch.tensor([0.0, 1.0])
    torch.testing.assert_close(schedule.alpha(ends), torch.tensor([1.0, 0.0]), atol=0.07, rtol=0)
    torch.testing.assert_close(schedule.sigma(ends), torch.tensor([0.0, 1.0]), atol=0.003, rtol=0)
    assert schedule.alpha(ends)[0] == 1
    assert schedule.sigma(ends)[0] == 0


def test_the_ratio_of_signal_and_noise_falls_everywhere(schedule: NoiseSchedule) -> None:
    t = torch.linspace(0.001, 0.999, 1733, dtype=torch.float64)
    assert (torch.log(schedule.alpha(t) / schedule.sigma(t)).diff() < 0).all()


def test_rectified_flow_by_hand() -> None:
    z, noise = torch.tensor([2.0, 2.0]).reshape(2, 1, 1, 1), torch.full((2, 1, 1, 1), -2.0)
    x_t = RectifiedFlow().add_noise(z, noise, torch.tensor([0.25, 1.0]))
    assert x_t.flatten().tolist() == [1.0, -2.0]


def test_linear_beta_by_hand() -> None:
    schedule = LinearBeta(num_train_steps=2, beta_start=0.36, beta_end=0.75)
    alpha = schedule.alpha(torch.tensor([0.5, 1.0]))
    torch.testing.assert_close(alpha, torch.tensor([0.8, 0.4]))  # sqrt(.64), sqrt(.64 * .25)
    middle = schedule.alpha(torch.tensor([0.75]))  # log alpha is linear between the steps
    torch.testing.assert_close(middle, torch.tensor([math.sqrt(0.8 * 0.4)]))


def test_cosine_is_the_papers_curve() -> None:
    t = torch.tensor([0.25, 0.5, 0.9], dtype=torch.float64)
    curve = torch.cos((t + 0.008) / 1.008 * math.pi / 2) / math.cos(0.008 / 1.008 * math.pi / 2)
    torch.testing.assert_close(CosineBeta(1000, 0.008, 0.999).alpha(t), curve, rtol=1e-5, atol=0)


def test_half_precision_touches_neither_table_nor_sum(schedule: NoiseSchedule) -> None:
    t = torch.tensor([0.1, 0.7])
    half = copy.deepcopy(schedule).to(torch.bfloat16)
    assert torch.equal(half.alpha(t), schedule.alpha(t))
    z, noise = torch.randn(2, 2, 1, 5, 4, generator=torch.Generator().manual_seed(0)).bfloat16()
    expected = schedule.add_noise(z.float(), noise.float(), t).bfloat16()
    assert torch.equal(half.add_noise(z, noise, t), expected)
    assert half.alpha(t.bfloat16()).dtype == torch.float32


def test_nothing_to_save(schedule: NoiseSchedule) -> None:
    assert not schedule.state_dict()
    assert not list(schedule.parameters())


def test_latest_time_is_where_alpha_meets_the_floor(schedule: NoiseSchedule) -> None:
    t = torch.tensor([schedule.latest_time(0.3)], dtype=torch.float64)
    assert schedule.alpha(t).item() == pytest.approx(0.3, abs=1e-6)
    assert schedule.latest_time(0.0) == 1.0


@pytest.mark.parametrize("values", [(1, 0.1, 0.2), (10, 0.0, 0.2), (10, 0.1, 1.0)])
def test_impossible_betas_are_refused(values: tuple[int, float, float]) -> None:
    with pytest.raises(UsageError, match="Expected"):
        LinearBeta(*values)
