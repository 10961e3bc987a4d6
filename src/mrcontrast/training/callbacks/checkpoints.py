"""Write checkpoints to resume from, also when a run is stopped by a signal."""

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint

from mrcontrast.training.callbacks.processes import gather, largest

log = logging.getLogger(__name__)


class Stopped(SystemExit):
    """A run was asked to stop (Ctrl-C, SIGTERM) and did so between two steps."""


class LastCheckpoint(Checkpoint):
    """Keep ``last.ckpt`` fresh: every few steps, after validation, and when asked to stop.

    On Ctrl-C or SIGTERM the current step is finished and saved; a second signal ends at once. A
    resumed training goes on exactly as if it had never stopped, so nothing is saved while gradients
    gather, in a validation, which has swapped in the averaged weights, or between a step and its
    validation, which Lightning would leave out.

    Args:
        folder: Folder of ``last.ckpt``.
        every_n_steps: Optimiser steps between two savings.
    """

    def __init__(self, folder: str, every_n_steps: int) -> None:
        self.path = Path(folder) / "last.ckpt"
        self.every_n_steps = every_n_steps
        self.saved_step = 0
        self.asked: int | None = None
        self.previous: dict[int, Any] = {}
        self.process = os.getpid()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Start to listen for signals."""
        self.process = os.getpid()
        self.previous = self.listen()

    def listen(self) -> dict[int, Any]:
        """Take the signals over and return who had them."""
        if threading.current_thread() is not threading.main_thread():
            return {}
        numbers = (signal.SIGINT, signal.SIGTERM)
        return {number: signal.signal(number, self.ask) for number in numbers}

    def ask(self, number: int, frame: object) -> None:
        """Note the first signal; on the second hand over to who listened before."""
        if os.getpid() != self.process:  # a data worker: its parent decides
            if number == signal.SIGTERM:
                os._exit(128 + number)
            return
        if self.asked is None:
            self.asked = number
            return
        before: Callable | int | None = self.previous.get(number)
        if callable(before):
            before(number, frame)
        else:
            raise KeyboardInterrupt

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count from the step that training goes on from, and listen alone.

        By now Lightning listens too; its handler waits for other processes, which may hang all.
        """
        self.saved_step = trainer.global_step
        self.listen()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: object) -> None:
        """Save if it is time, and stop if asked, unless the step has still to be completed."""
        self.hear(pl_module)
        if is_gathering(trainer) or is_validation_due(trainer):
            return
        done = is_last_step(trainer)
        due = trainer.global_step - self.saved_step >= self.every_n_steps
        if due or done or self.asked is not None:
            self.save(trainer)
        self.stop_if_asked()

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, *_: object
    ) -> None:
        """Stop if asked; what was last saved is kept."""
        self.hear(pl_module)
        self.stop_if_asked()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save with the score that validation gave."""
        if trainer.state.fn == "fit" and trainer.global_step > 0 and not is_gathering(trainer):
            self.save(trainer)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Stop listening."""
        self.teardown(trainer, pl_module, "fit")

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Give the signals back to who listened before."""
        for number, handler in self.previous.items():
            signal.signal(number, handler)
        self.previous = {}

    def save(self, trainer: Trainer) -> None:
        """Replace ``last.ckpt``."""
        trainer.save_checkpoint(self.path)
        self.saved_step = trainer.global_step

    def hear(self, pl_module: LightningModule) -> None:
        """Take what one process was asked for all: alone it would wait for the others."""
        self.asked = largest(self.asked or 0, pl_module.device) or None

    def stop_if_asked(self) -> None:
        """Raise Stopped with exit code 130 (Ctrl-C) or 143 (SIGTERM) if asked to."""
        if self.asked is not None:
            raise Stopped(128 + self.asked)


class BestCheckpoint(ModelCheckpoint):
    """Keep the best validation, also of a run whose folder was moved since.

    Lightning forgets which was the best when the folder has another path. Here paths in a
    checkpoint mean files in this callback's own folder. Its state has Lightning's name, so
    checkpoints of either can be read by the other.
    """

    @property
    def state_key(self) -> str:
        """Name of its state in a checkpoint."""
        return super().state_key.replace(type(self).__qualname__, ModelCheckpoint.__qualname__, 1)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up which was the best, if its file is here; else the next validation is the best."""
        if self.dirpath is None or not state_dict["best_model_path"]:
            return
        folder = Path(self.dirpath)
        best = folder / Path(state_dict["best_model_path"]).name
        if not gather(best.is_file())[0]:  # as the first process sees it, so that all agree
            log.warning("No %s: the best of validations from here on is kept.", best)
            return
        here = {key: moved(state_dict[key], folder) for key in PATHS_OF_BEST}
        scores = {moved(path, folder): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict(
            state_dict | here | {"dirpath": self.dirpath, "best_k_models": scores}
        )


PATHS_OF_BEST = ("best_model_path", "kth_best_model_path", "last_model_path")


def moved(path: str, folder: Path) -> str:
    """Return the path of a file of the same name in a folder; of no file, none."""
    return str(folder / Path(path).name) if path else path


def is_last_step(trainer: Trainer) -> bool:
    """Return whether the steps that were asked for are done; never where time or epochs end it."""
    return trainer.max_steps != -1 and trainer.global_step >= trainer.max_steps


def is_gathering(trainer: Trainer) -> bool:
    """Return whether gradients of the batches so far still wait for their optimiser step."""
    return trainer.fit_loop._should_accumulate()


def is_validation_due(trainer: Trainer) -> bool:
    """Return whether Lightning validates right after the step that has just ended."""
    loop = trainer.fit_loop
    return loop.epoch_loop._should_check_val_fx(loop._data_fetcher)  # type: ignore[arg-type]


class LastValidation(Callback):
    """Validate after the last step, whether or not ``val_check_interval`` falls there.

    Without it a training shorter than the interval would never be scored. It comes before the
    checkpoints in the list of callbacks: they wait for a validation that is due.
    """

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: object) -> None:
        """Ask for the end when it has come: Lightning validates when it is asked to stop."""
        if is_last_step(trainer):
            trainer.should_stop = True


@contextmanager
def terminable() -> Iterator[None]:
    """Turn SIGTERM into an orderly exit with code 143 while building and writing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
