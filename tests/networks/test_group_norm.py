"""The quick backward gives the gradients of PyTorch's."""

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from mrcontrast.networks.group_norm import FORMATS, BackwardInPlace, quicken_norms


def gradients(norm: nn.Module, x: Tensor) -> list[Tensor]:
    """Return output and gradients of x, weight and bias for a loss that knows each voxel."""
    x = x.clone(memory_format=torch.preserve_format).requires_grad_()
    out = norm(x)
    generator = torch.Generator().manual_seed(1)
    (out.float() * torch.randn(out.shape, generator=generator)).sum().backward()
    assert x.grad is not None
    return [out.detach(), x.grad, *(weight.grad for weight in norm.parameters())]


@pytest.mark.parametrize("shape", [(3, 8, 6, 10), (2, 8, 4, 6, 5)])
@pytest.mark.parametrize(
    ("dtype", "weights"),
    [
        (torch.bfloat16, torch.bfloat16),
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
    ],
)
def test_gradients_are_those_of_pytorch(
    shape: tuple[int, ...], dtype: torch.dtype, weights: torch.dtype
) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator).to(dtype)
    x = x.contiguous(memory_format=FORMATS[x.ndim])
    norm = nn.GroupNorm(4, shape[1])
    nn.init.normal_(norm.weight, generator=generator)
    norm = norm.to(weights)
    quick = nn.Sequential(deepcopy(norm))
    quicken_norms(quick)
    tolerance = 1e-5 if weights == torch.float32 == dtype else 0.05
    for ours, theirs in zip(gradients(quick, x), gradients(norm, x), strict=True):
        assert ours.dtype == theirs.dtype
        torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("mean_of_x", [0.0, 10.0])
@pytest.mark.parametrize("mean_of_gradient", [0.0, 10.0])
def test_it_is_exact_to_the_rounding_of_bf16(mean_of_x: float, mean_of_gradient: float) -> None:
    generator = torch.Generator().manual_seed(0)
    shape = (2, 8, 12, 10, 9)
    x = (torch.randn(shape, generator=generator) + mean_of_x).bfloat16()
    gradient = (torch.randn(shape, generator=generator) + mean_of_gradient).bfloat16()
    norm = nn.GroupNorm(4, 8)
    nn.init.normal_(norm.weight, generator=generator)
    quick = nn.Sequential(deepcopy(norm))
    quicken_norms(quick)
    found = []
    for module, dtype in ((quick, torch.bfloat16), (norm.double(), torch.float64)):
        given = x.to(dtype).contiguous(memory_format=torch.channels_last_3d).requires_grad_()
        module(given).backward(gradient.to(dtype))
        found.append([given.grad, *(weight.grad for weight in module.parameters())])
    for ours, exact in zip(*found, strict=True):
        assert (ours.double() - exact).norm() < 0.004 * exact.norm()


def test_it_goes_the_quick_way_in_bf16_channels_last_only() -> None:
    norm = nn.Sequential(nn.GroupNorm(2, 4))
    quicken_norms(norm)
    x = torch.randn(2, 4, 6, 6).bfloat16()
    last = x.contiguous(memory_format=torch.channels_last)
    quick = BackwardInPlace.apply(
        last.clone().requires_grad_(), norm[0].weight, norm[0].bias, 2, 1e-5
    ).grad_fn.name()
    assert norm(last.clone().requires_grad_()).grad_fn.name() == quick
    for plain in (x, last.float()):
        assert norm(plain.clone().requires_grad_()).grad_fn.name() != quick
