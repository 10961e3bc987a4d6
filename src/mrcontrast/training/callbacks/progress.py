"""Progress as plain lines that read the same in a terminal and in a job's log."""

import logging
import sys
import time
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Timer
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from mrcontrast.config.logs import MOST_SECONDS, Pace, Progress, duration

log = logging.getLogger(__name__)


class ProgressLines(Callback):
    """Say now and then which step it is, how fast, and how long it will take.

    Args:
        every_seconds: Time between two lines; where the output is no terminal it grows to minutes.
    """

    def __init__(self, every_seconds: float = 15.0) -> None:
        self.most_seconds = every_seconds if sys.stdout.isatty() else MOST_SECONDS
        self.every_seconds = every_seconds
        self.pace = Pace(self.every_seconds, self.most_seconds)
        self.start_step = 0
        self.validated: Progress | None = None

    @rank_zero_only
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say what is trained, on what."""
        self.start_step = trainer.global_step
        self.pace = Pace(self.every_seconds, self.most_seconds)
        sizes = [(value.numel(), value.requires_grad) for value in pl_module.parameters()]
        trained = sum(size for size, grad in sizes if grad)
        log.info(
            "Training %s (%s of %s parameters) on %s, step %d to %s",
            type(pl_module).__name__,
            short_count(trained),
            short_count(sum(size for size, _ in sizes)),
            trainer.strategy.root_device,
            trainer.global_step,
            last_step(trainer) or "the last epoch",
        )

    @rank_zero_only
    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,  # noqa: ANN401 - Lightning's own type
        batch: Any,  # noqa: ANN401
        batch_idx: int,
    ) -> None:
        """Write a line if it is time."""
        if self.pace.is_due():
            log.info("%s  %s", self.place(trainer), figures(trainer))

    @rank_zero_only
    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count the batches of the validation, if it is known how many there are."""
        count = sum(trainer.num_val_batches)
        self.validated = Progress("validated", int(count)) if count != float("inf") else None

    @rank_zero_only
    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,  # noqa: ANN401 - Lightning's own type
        batch: Any,  # noqa: ANN401
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Write a line if it is time."""
        if self.validated is not None:
            self.validated.update(batch_idx + 1)

    @rank_zero_only
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write a line with the metrics of the validation."""
        if trainer.state.fn == "fit":
            log.info("%s  %s", self.place(trainer), figures(trainer, "val/"))

    def place(self, trainer: Trainer) -> str:
        """Return the step, the speed and the time left until the steps or ``max_time`` end."""
        done = trainer.global_step - self.start_step
        seconds = (time.monotonic() - self.pace.began) / max(done, 1)
        last, left = last_step(trainer), seconds_left(trainer)
        if last is not None:
            left = min(left, (last - trainer.global_step) * seconds)
        step = f"step {trainer.global_step}" + ("" if last is None else f"/{last}")
        ends = "" if left == float("inf") else f"  {duration(max(left, 0))} left"
        return f"{step}  {seconds:.3g} s per step{ends}"


def last_step(trainer: Trainer) -> int | None:
    """Return the step that training ends at, or None when nobody knows."""
    total = trainer.estimated_stepping_batches
    return int(total) if total not in (-1, float("inf")) else None


def seconds_left(trainer: Trainer) -> float:
    """Return the seconds until ``trainer.max_time`` ends the training; infinite without it."""
    timers = (call for call in trainer.callbacks if isinstance(call, Timer))  # type: ignore[attr-defined]
    known = (timer.time_remaining() for timer in timers)
    return min((left for left in known if left is not None), default=float("inf"))


def figures(trainer: Trainer, prefix: str = "") -> str:
    """Return the metrics meant for people, those of validation in full."""
    metrics = trainer.callback_metrics if prefix else trainer.progress_bar_metrics
    chosen = {name: value for name, value in metrics.items() if name.startswith(prefix)}
    return "  ".join(f"{name} {float(value):.4g}" for name, value in chosen.items())


def short_count(count: int) -> str:
    """Return a number of parameters as people say it.

    >>> short_count(1_234_567), short_count(980)
    ('1.2 M', '980')
    """
    return f"{count / 1e6:.1f} M" if count >= 1e5 else f"{count}"
