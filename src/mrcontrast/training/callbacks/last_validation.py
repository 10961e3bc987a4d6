"""Validate after the last step, however few steps there are."""

from typing import Any

from lightning import Callback, LightningModule, Trainer

from mrcontrast.training.callbacks.checkpoints import is_last_step


class LastValidation(Callback):
    """Validate after the last step, whether or not ``val_check_interval`` falls there.

    Without it a training shorter than the interval would never be scored. It comes before the
    checkpoints in the list of callbacks: they wait for a validation that is due.
    """

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,  # noqa: ANN401 - Lightning's own type
        batch: Any,  # noqa: ANN401
        batch_idx: int,
    ) -> None:
        """Ask for the end when it has come: Lightning validates when it is asked to stop."""
        if is_last_step(trainer):
            trainer.should_stop = True
