"""Start a ControlNet from a trained denoiser, and embed its condition only once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from inspect import signature
from typing import Any

from monai.networks.nets import ControlNet
from torch import Tensor, nn

from mrcontrast.errors import UsageError

ITS_OWN = ("controlnet_cond_embedding.", "controlnet_down_blocks.", "controlnet_mid_block.")


def start_from_denoiser(controlnet: nn.Module, denoiser: nn.Module) -> None:
    """Copy a denoiser's encoder, or raise UsageError; the ControlNet's own layers stay zero.

    Source: Zhang et al. 2023, arXiv 2302.05543, section 3.1.
    """
    theirs = denoiser.state_dict()
    for name, value in controlnet.state_dict().items():
        if name.startswith(ITS_OWN):
            continue
        if name not in theirs or theirs[name].shape != value.shape:
            raise UsageError(
                f"Expected a ControlNet with the denoiser's encoder, got another '{name}'. "
                "Give both the same channels, num_res_blocks and attention_levels."
            )
        value.copy_(theirs[name])


@contextmanager
def embedded_once(controlnet: nn.Module, condition: Tensor) -> Iterator[Tensor]:
    """Embed a condition now; within this block the ControlNet takes the result in its place.

    A sampler calls the ControlNet many times with one condition, and where that is an image of
    full size its embedding is a good part of each call. Not for threads that share a network.
    Yields the embedding (B, C', *S / f) of a condition (B, C, *S).
    """
    part: Any = controlnet
    embedder = part.controlnet_cond_embedding
    embedded = embedder(condition)
    part.controlnet_cond_embedding = nn.Identity()
    try:
        yield embedded
    finally:
        part.controlnet_cond_embedding = embedder


def encoder_settings(denoiser: Callable[..., nn.Module]) -> dict[str, Any]:
    """Return those settings of the partial of a denoiser that MONAI's ControlNet has: its encoder.

    >>> encoder_settings(partial(nn.Module, channels=[8], out_channels=3, norm_eps=1e-6))
    {'channels': [8], 'norm_eps': 1e-06}
    """
    names = signature(ControlNet).parameters
    known: dict[str, Any] = {}
    while isinstance(denoiser, partial):  # a partial with attributes of its own stays nested
        known, denoiser = denoiser.keywords | known, denoiser.func
    return {name: value for name, value in known.items() if name in names}
