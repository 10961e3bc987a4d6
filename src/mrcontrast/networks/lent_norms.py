"""Use the group norm statistics of another item of the batch."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

LENDERS: ContextVar[Tensor | None] = ContextVar("LENDERS", default=None)


def has_group_norms(network: nn.Module) -> bool:
    """Return whether the output of a network depends on how much of the field is empty."""
    return any(isinstance(module, nn.GroupNorm) for module in network.modules())


@contextmanager
def lent_norms(network: Any, lenders: Tensor) -> Iterator[None]:  # noqa: ANN401 - any stage
    """Let each item of a batch be normalised by the statistics of another, within this block.

    A slice with little brain has statistics that a network never saw. Those of a neighbour with
    more brain take their place. ``lenders`` are the items that lend, (B,), int64; an item's own
    number changes no bit of it.
    """
    if torch.equal(lenders, torch.arange(len(lenders))):
        yield
        return
    norms = [module for module in network.modules() if isinstance(module, nn.GroupNorm)]
    token = LENDERS.set(lenders)
    for norm in norms:
        norm.__dict__["forward"] = partial(normalise_as_lenders, norm, lenders)
    try:
        yield
    finally:
        LENDERS.reset(token)
        for norm in norms:
            del norm.__dict__["forward"]


def normalise_as_lenders(norm: nn.GroupNorm, lenders: Tensor, x: Tensor) -> Tensor:
    """Normalise (B, C, *S)."""
    result = nn.GroupNorm.forward(norm, x)
    borrows = lenders != torch.arange(len(lenders))
    groups = x[lenders[borrows]].float().unflatten(1, (norm.num_groups, -1)).flatten(2)
    var, mean = torch.var_mean(groups, dim=2, correction=0)
    width = x.shape[1] // norm.num_groups
    shape = (-1, x.shape[1], *[1] * (x.ndim - 2))
    scale = (var + norm.eps).rsqrt().repeat_interleave(width, dim=1) * norm.weight
    shift = norm.bias - mean.repeat_interleave(width, dim=1) * scale
    borrowed = torch.addcmul(shift.view(shape), x[borrows].float(), scale.view(shape))
    result[borrows] = borrowed.to(result)
    return result
