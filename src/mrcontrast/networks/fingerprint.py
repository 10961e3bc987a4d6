"""What a network is known by: its layers and its weights."""

import hashlib

from torch import nn


def module_hash(module: nn.Module) -> str:
    """Return the SHA-256 of a module's layers and their settings, and of its weights."""
    digest = hashlib.sha256(repr(module).encode())
    for name, value in sorted(module.state_dict().items()):
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
