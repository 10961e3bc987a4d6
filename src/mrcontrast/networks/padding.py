"""Pad images to a multiple of a size, and crop them."""

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor


def pad_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """Pad the end of each spatial axis of (B, C, *S) with zeros to a multiple.

    >>> import torch
    >>> pad_to_multiple(torch.ones(1, 1, 5, 8), 4).shape
    torch.Size([1, 1, 8, 8])
    """
    missing = [-size % multiple for size in reversed(image.shape[2:])]
    return F.pad(image, [side for amount in missing for side in (0, amount)])


def crop(image: Tensor, shape: Sequence[int]) -> Tensor:
    """Cut the end of each spatial axis of (B, C, *S) so that it has the given axes."""
    kept: list[Any] = [..., *(slice(0, size) for size in shape)]
    return image[tuple(kept)]
