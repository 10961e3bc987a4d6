"""Exponential moving average of the weights, for validation, pictures and export."""

from collections.abc import Sequence

import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor


class EmaWeights(WeightAveraging):
    """Average the weights over steps; short trainings forget their start sooner.

    The decay at update n is ``min(decay, (1 + n) / (10 + n))``. In a checkpoint ``state_dict`` is
    the average and ``current_model_state`` the weights that training goes on with. Frozen weights
    stay equal to the last bit, buffers are copied: both drift or are cut to integers in
    Lightning's ``EMAWeightAveraging``.

    Args:
        decay: Largest decay of one optimiser step, in [0, 1).

    Source: Ho et al. 2020, arXiv 2006.11239, appendix B (decay 0.9999); the warm-up is
    ``num_updates`` in the documentation of TensorFlow's ``tf.train.ExponentialMovingAverage``.
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        super().__init__(use_buffers=False, multi_avg_fn=self.update)

    def update(
        self, averaged: Sequence[Tensor], current: Sequence[Tensor], updates: Tensor | int
    ) -> None:
        """Move averaged weights towards the current ones, in place.

        >>> average, current = torch.zeros(1), torch.ones(1)
        >>> EmaWeights(decay=0.5).update([average], [current], updates=98)
        >>> average
        tensor([0.5000])
        """
        decay = min(self.decay, (1 + int(updates)) / (10 + int(updates)))
        with torch.no_grad():
            torch._foreach_lerp_(list(averaged), list(current), 1 - decay)
