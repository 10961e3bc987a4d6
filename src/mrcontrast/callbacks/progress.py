"""Progress as plain lines that read the same in a terminal and in a job's log."""

import logging
import time
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.rank_zero import rank_zero_only

log = logging.getLogger(__name__)


class ProgressLines(Callback):
    """Say now and then which step it is, how fast, and how long it will take.

    Args:
        every_seconds: Time between two lines.
    """

    def __init__(self, every_seconds: float = 15.0) -> None:
        self.every_seconds = every_seconds
        self.start_step = 0
        self.start_time = self.last_time = 0.0

    @rank_zero_only
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say what is trained, on what."""
        self.start_step = trainer.global_step
        self.start_time = self.last_time = time.monotonic()
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
        now = time.monotonic()
        if now - self.last_time < self.every_seconds:
            return
        self.last_time = now
        log.info("%s  %s", self.pace(trainer, now), figures(trainer))

    @rank_zero_only
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write a line with the metrics of the validation."""
        if trainer.state.fn == "fit":
            log.info("%s  %s", self.pace(trainer, time.monotonic()), figures(trainer, "val/"))

    def pace(self, trainer: Trainer, now: float) -> str:
        """Return the step, the speed and the time left."""
        done = trainer.global_step - self.start_step
        seconds = (now - self.start_time) / max(done, 1)
        last = last_step(trainer)
        if last is None:
            return f"step {trainer.global_step}  {seconds:.3g} s a step"
        left = duration((last - trainer.global_step) * seconds)
        return f"step {trainer.global_step}/{last}  {seconds:.3g} s a step  {left} left"


def last_step(trainer: Trainer) -> int | None:
    """Return the step that training ends at, or None when nobody knows."""
    total = trainer.estimated_stepping_batches
    return int(total) if total not in (-1, float("inf")) else None


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


def duration(seconds: float) -> str:
    """Return a span of time with two units at most.

    >>> duration(5), duration(125), duration(7300)
    ('5 s', '2 min 5 s', '2 h 1 min')
    """
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
