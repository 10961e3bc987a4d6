"""Move modules to the fastest device and back."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def on_fastest_device(module: nn.Module | None) -> Iterator[torch.device]:
    """Move a module, if there is one, to the CUDA device, if there is one, and back."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if module is None:
        yield device
        return
    home = next(module.parameters()).device
    device = device if device.type == "cuda" else home
    module.to(device)
    try:
        yield device
    finally:
        module.to(home)
