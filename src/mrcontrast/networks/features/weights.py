"""Weights of frozen networks from local files, known by their SHA-256 and read without pickle."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.storage.files import sha256_file


def check_file(path: Path, sha256: str | None) -> str:
    """Return the SHA-256 of a file; UsageError without one, MrcontrastError for another one."""
    if not path.is_file():
        raise UsageError(f"Expected a file of weights, got none ({path}). Check the path.")
    found = sha256_file(path)
    if sha256 is not None and found != sha256.lower():
        raise MrcontrastError(
            f"Expected weights of SHA-256 {sha256.lower()[:12]}..., got {found[:12]}... ({path}). "
            "Fetch the file again, or give the hash of this one."
        )
    return found


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a state dict, also one under the key "state_dict", without running its pickle."""
    try:
        loaded: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise MrcontrastError(
            f"Expected a state dict of tensors, got what torch cannot read safely "
            f"({type(error).__name__}: {path}). Save it anew with torch.save(model.state_dict())."
        ) from error
    weights = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else loaded
    if not isinstance(weights, dict):
        raise MrcontrastError(
            f"Expected a state dict, got {type(weights).__name__} ({path}). Save state_dict()."
        )
    return weights


def load_into(network: nn.Module, weights: dict[str, Tensor], path: Path) -> None:
    """Load all weights of a network, or raise MrcontrastError; further ones are left out."""
    own = network.state_dict()
    missing = [
        name
        for name, value in own.items()
        if not name.endswith("num_batches_tracked")
        and (name not in weights or weights[name].shape != value.shape)
    ]
    if missing:
        raise MrcontrastError(
            f"Expected the weights of {type(network).__name__}, got none that fit for "
            f"{len(missing)} of {len(own)}, such as {missing[0]} ({path}). Choose its own file."
        )
    network.load_state_dict({name: value for name, value in weights.items() if name in own}, False)
    network.eval().requires_grad_(False)
