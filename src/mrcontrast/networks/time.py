"""Scale t in [0, 1] to the timestep range of MONAI's networks."""

from torch import Tensor

TRAIN_STEPS = 1000.0


def network_time(t: Tensor) -> Tensor:
    """Map times in [0, 1] to [0, 1000], the range of the sinusoidal embedding."""
    return TRAIN_STEPS * t
