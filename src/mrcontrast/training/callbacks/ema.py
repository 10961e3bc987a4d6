"""Exponential moving average of the weights, for validation, pictures and export."""

from collections.abc import Sequence

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor


class EmaWeights(WeightAveraging):
    """Average the weights over steps; short trainings forget their start sooner.

    The decay at update n is ``min(decay, (1 + n) / (10 + n))``. In a checkpoint ``state_dict`` is
    the average and ``current_model_state`` the weights that training goes on with. Unlike
    Lightning's ``EMAWeightAveraging``, frozen weights are shared, buffers are copied, and the
    average is on the device of training.

    Args:
        decay: Largest decay of one optimiser step, in [0, 1).

    Source: Ho et al. 2020, arXiv 2006.11239, appendix B (decay 0.9999); the warm-up is
    ``num_updates`` in the documentation of TensorFlow's ``tf.train.ExponentialMovingAverage``.
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        super().__init__(use_buffers=False, multi_avg_fn=self.update)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Make the average on the device that the model is moved to only later."""
        self._device = trainer.strategy.root_device
        super().setup(trainer, pl_module, stage)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Share frozen weights, now that they lie where they stay."""
        assert self._average_model is not None
        pairs = zip(self._average_model.module.parameters(), pl_module.parameters(), strict=True)
        for average, current in pairs:
            if not current.requires_grad:
                average.data = current.data

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
        pairs = zip(averaged, current, strict=True)
        own = [(ours, theirs) for ours, theirs in pairs if ours.data_ptr() != theirs.data_ptr()]
        if own:
            ours, theirs = zip(*own, strict=True)
            with torch.no_grad():
                torch._foreach_lerp_(list(ours), list(theirs), 1 - decay)
