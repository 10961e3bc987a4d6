"""Exchange values between the processes of one training."""

from typing import Any

import torch
from torch import distributed


def number() -> int:
    """Return the number of this process, from 0."""
    return distributed.get_rank() if together() else 0


def together() -> bool:
    """Return whether several processes train together."""
    return distributed.is_available() and distributed.is_initialized()


def count() -> int:
    """Return how many processes train together, 1 for one that is alone."""
    return distributed.get_world_size() if together() else 1


def gather(value: Any) -> list[Any]:  # noqa: ANN401 - whatever pickles
    """Return what each process gave, in their order; all must call."""
    if not together():
        return [value]
    values: list[Any] = [None] * count()
    distributed.all_gather_object(values, value)
    return values


def largest(value: int, device: torch.device) -> int:
    """Return the largest value that a process gave; all must call.

    The device is that of the model, since NCCL communicates between GPUs only.
    """
    if not together():
        return value
    found = torch.tensor(value, device=device)
    distributed.all_reduce(found, distributed.ReduceOp.MAX)
    return int(found)
