"""A callback that writes down what each process of a training has seen."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer


class ItemsSeen(Callback):
    """Keep, for each step, a print of each item, a draw and the loss; one file a process.

    The first process is asked to stop in the step that TOY_STOP_AT names.
    """

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.lines: list[dict] = []

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_rank == 0 and os.environ.get("TOY_STOP_AT") == str(trainer.global_step):
            os.kill(os.getpid(), signal.SIGTERM)
        images = batch.get("target_mean", batch.get("target"))
        prints = [round(float(image.double().sum()), 4) for image in images]
        with torch.random.fork_rng(devices=[]):
            draw = float(torch.rand(1))
        self.lines.append({"step": trainer.global_step, "items": prints, "draw": draw})

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        self.lines[-1]["loss"] = float(outputs["loss"])
        path = self.folder / f"seen-{trainer.global_rank}.json"
        self.folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.lines))
