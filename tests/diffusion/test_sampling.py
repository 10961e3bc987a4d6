import pytest
import torch
from torch import Tensor

from mrcontrast.diffusion.samplers import DDPM, EulerFlow
from mrcontrast.diffusion.sampling import draw
from mrcontrast.diffusion.schedules import RectifiedFlow
from mrcontrast.diffusion.targets import Velocity
from mrcontrast.errors import UsageError


def seeds(*values: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(value) for value in values]


def test_an_item_draws_the_same_alone_and_in_a_batch() -> None:
    together = draw(torch.empty(3, 1, 5, 4), seeds(7, 8, 8))
    assert torch.equal(together[1:2], draw(torch.empty(1, 1, 5, 4), seeds(8)))
    assert torch.equal(together[1], together[2])
    assert not torch.equal(together[0], together[1])
    with pytest.raises(ValueError, match="Expected 3 generators"):
        draw(torch.empty(3, 1), seeds(1, 2))


def test_one_generator_serves_the_batch() -> None:
    like = torch.empty(2, 1, 5, 4, dtype=torch.float64)
    one = draw(like, *seeds(5))
    assert one.dtype == torch.float64
    assert torch.equal(one, draw(like, *seeds(5)))
    assert not torch.equal(one[0], one[1])


def test_grid_by_hand() -> None:
    assert EulerFlow(4).times().tolist() == [1, 0.75, 0.5, 0.25, 0]
    assert EulerFlow(2, shift=3.0).times().tolist() == [1, 0.75, 0]  # 3 * .5 / (1 + 2 * .5)
    assert EulerFlow(2, rho=2.0).times().tolist() == [1, 0.25, 0]


@pytest.mark.parametrize("values", [(0, 1.0, 1.0), (4, 0.0, 1.0), (4, 1.0, -1.0)])
def test_impossible_grids_are_refused(values: tuple[int, float, float]) -> None:
    with pytest.raises(UsageError, match="Expected"):
        EulerFlow(*values)


def test_num_steps_may_be_set_but_not_to_nothing() -> None:
    sampler = EulerFlow(4)
    sampler.num_steps = 9
    assert sampler.num_calls == 9
    with pytest.raises(UsageError, match="at least 1, got 0"):
        sampler.num_steps = 0


def test_the_network_sees_the_dtype_of_the_noise_and_times_in_float32() -> None:
    seen: list[tuple[torch.dtype, torch.dtype, tuple[int, ...]]] = []

    def predict(x_t: Tensor, t: Tensor) -> Tensor:
        seen.append((x_t.dtype, t.dtype, tuple(t.shape)))
        return torch.zeros_like(x_t)

    noise = torch.randn(2, 1, 5, 4, 3).bfloat16()
    out = DDPM(3).sample(predict, noise, RectifiedFlow(), Velocity(), *seeds(1))
    assert out.dtype == torch.bfloat16
    assert out.shape == noise.shape
    assert seen == [(torch.bfloat16, torch.float32, (2,))] * 3


def test_no_gradient_is_kept() -> None:
    weight = torch.ones(1, requires_grad=True)
    out = EulerFlow(2).sample(
        lambda x, t: weight * x, torch.randn(2, 1, 5, 4), RectifiedFlow(), Velocity()
    )
    assert not out.requires_grad
