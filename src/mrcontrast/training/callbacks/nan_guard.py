"""Stop a training at its first loss that is not a number."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from mrcontrast.errors import MrcontrastError, one_line
from mrcontrast.storage.files import replacing
from mrcontrast.training.callbacks.processes import count, largest, number


class NanGuard(Callback):
    """Stop before a NaN or infinite loss reaches the weights, and keep the batch.

    Of several processes all stop; the first whose loss is not finite keeps its batch.

    Args:
        path: File for the batch, read back by ``torch.load(path, weights_only=True)``.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self.batch: Any = None

    def on_train_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,  # noqa: ANN401 - Lightning's own type
        batch_idx: int,
    ) -> None:
        """Remember the batch."""
        self.batch = batch

    def on_before_backward(
        self, trainer: Trainer, pl_module: LightningModule, loss: Tensor
    ) -> None:
        """Raise MrcontrastError for a loss that is not finite."""
        sound = bool(torch.isfinite(loss).all())
        first = count() - largest(0 if sound else count() - number(), loss.device)
        if first == count():
            return
        kept = f"batch kept in {self.path}"
        if number() == first:
            try:
                with replacing(self.path) as unfinished:
                    torch.save(plain(self.batch), unfinished)
            except (MrcontrastError, RuntimeError) as error:  # torch's writer has its own
                kept = f"the batch cannot be kept: {one_line(error, most=200)}"
        step, value = trainer.global_step, float(loss.detach().float().mean())
        got = f"{value}" if number() == first else f"another in process {first}"
        raise MrcontrastError(
            f"Expected a finite loss, got {got} at step {step} ({kept}). "
            "Lower the learning rate, use precision bf16-mixed or 32-true, or look at the batch."
        )


def plain(batch: Any) -> Any:  # noqa: ANN401 - whatever a collate function makes
    """Return a batch of plain tensors on the CPU, lists and dicts."""
    if isinstance(batch, Tensor):
        return batch.detach().cpu().as_subclass(Tensor)
    if isinstance(batch, Mapping):
        return {str(key): plain(value) for key, value in batch.items()}
    if isinstance(batch, list | tuple):
        return [plain(value) for value in batch]
    return batch if isinstance(batch, str | int | float | bool | None) else str(batch)
