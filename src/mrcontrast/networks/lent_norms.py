"""Use the group norm statistics of another item of the batch."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

LENDERS: ContextVar[Tensor | None] = ContextVar("LENDERS", default=None)


def group_norms(network: nn.Module) -> list[nn.GroupNorm]:
    """Return the group norms of a network."""
    return [module for module in network.modules() if isinstance(module, nn.GroupNorm)]


def has_group_norms(network: nn.Module) -> bool:
    """Return whether the output of a network depends on how much of the field is empty."""
    return bool(group_norms(network))


@contextmanager
def lent_norms(network: Any, lenders: Tensor) -> Iterator[None]:  # noqa: ANN401 - any stage
    """Let each item of a batch be normalised by the statistics of another, within this block.

    A slice with little brain has statistics that a network never saw; those of a neighbour take
    their place. ``lenders`` are the items that lend, (B,), int64; its own number changes nothing.
    """
    if torch.equal(lenders, torch.arange(len(lenders))):
        yield
        return
    token = LENDERS.set(lenders)
    try:
        with replaced_forward(group_norms(network), partial(normalise_as_lenders, lenders)):
            yield
    finally:
        LENDERS.reset(token)


@contextmanager
def replaced_forward(
    norms: Sequence[nn.GroupNorm], forward: Callable[[nn.GroupNorm, Tensor], Tensor]
) -> Iterator[None]:
    """Let group norms run another function of themselves and (B, C, *S) within this block."""
    before = {norm: norm.__dict__.get("forward") for norm in norms}
    for norm in norms:
        norm.__dict__["forward"] = partial(forward, norm)
    try:
        yield
    finally:
        for norm, own in before.items():
            del norm.__dict__["forward"]
            norm.__dict__.update({} if own is None else {"forward": own})


def normalise_as_lenders(lenders: Tensor, norm: nn.GroupNorm, x: Tensor) -> Tensor:
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
