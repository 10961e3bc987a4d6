"""The time that MONAI's networks are told."""

from torch import Tensor

TRAIN_STEPS = 1000.0


def network_time(t: Tensor) -> Tensor:
    """Map times in [0, 1] to [0, 1000], the range that the sinusoidal embedding was made for."""
    return TRAIN_STEPS * t
