"""Build the trainer of a run, and fit a stage with it."""

import logging
import signal
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningDataModule, LightningModule, Trainer
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.accelerators import CUDAAccelerator, MPSAccelerator
from omegaconf import DictConfig

from mrcontrast.config.build import build
from mrcontrast.errors import MrcontrastError, UsageError, one_line
from mrcontrast.runs.folder import RunFolder
from mrcontrast.stages.contract import Stage
from mrcontrast.storage.files import replacing
from mrcontrast.tracking.no_tracker import NoTracker
from mrcontrast.training.callbacks.checkpoints import LastValidation
from mrcontrast.training.callbacks.csv_metrics import CsvMetrics
from mrcontrast.training.lineage import check_same
from mrcontrast.training.resume import read_checkpoint, score_of

log = logging.getLogger(__name__)


class Elapsed(Callback):
    """Count seconds from now on, and those of earlier parts that a checkpoint tells of."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.before = 0.0

    def seconds(self) -> float:
        """Return the seconds of all parts."""
        return self.before + time.monotonic() - self.began

    def state_dict(self) -> dict[str, Any]:
        """Return the seconds so far."""
        return {"seconds": self.seconds()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there; the time of loading counts too."""
        self.before = state_dict["seconds"]


class WholeFiles(TorchCheckpointIO):
    """Write a checkpoint under a temporary name, then rename it.

    Lightning's own may copy from ``$TMPDIR``: a kill then leaves half a checkpoint behind.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: object = None
    ) -> None:
        """Write a checkpoint; of an earlier one there all or nothing is replaced."""
        path = Path(path)
        try:
            with replacing(path, durable=True) as unfinished, unfinished.open("wb") as file:
                torch.save(checkpoint, file)
        except (MrcontrastError, RuntimeError) as error:  # torch turns an OSError into the latter
            reason = one_line(error.__cause__ or error, most=200)
            raise MrcontrastError(
                f"Expected room for a checkpoint, got: {reason} ({path}). "
                "Free some space; the same command goes on from the checkpoint before."
            ) from error


def build_trainer(
    config: DictConfig,
    stage: Stage,
    folder: RunFolder,
    tracker: NoTracker,
    clock: Elapsed | None = None,
) -> Trainer:
    """Build the trainer with its callbacks and loggers; a ``clock`` goes on with checkpoints."""
    plugins = [WholeFiles(), *(build(node) for node in config.trainer.get("plugins") or [])]
    options: dict[str, Any] = {"default_root_dir": str(folder.path), "plugins": plugins}
    if not stage.automatic_optimization and config.trainer.gradient_clip_val is not None:
        if not stage.clips_gradients:
            raise UsageError(
                f"Expected trainer.gradient_clip_val null, got {config.trainer.gradient_clip_val} "
                f"({type(stage).__name__} steps its own optimisers). "
                "Add trainer.gradient_clip_val=null."
            )
        stage.gradient_clip_val = config.trainer.gradient_clip_val
        options["gradient_clip_val"] = None
    if config.trainer.deterministic:
        options["benchmark"] = False  # the fastest kernel of a race is not always the same one
    compile_parts(stage, config.get("compile") or [])
    chosen = [build(node) for node in (config.get("callbacks") or {}).values() if node]
    first = [LastValidation(), *([] if clock is None else [clock])]
    loggers = [CsvMetrics(folder.metrics_path), *tracker.loggers()]
    return build(config.trainer, callbacks=[*first, *chosen], logger=loggers, **options)


def compile_parts(stage: LightningModule, names: Sequence[str]) -> None:
    """Compile parts of a stage in place; the names of its tensors stay."""
    for name in names:
        try:
            stage.get_submodule(name).compile()
        except AttributeError as error:
            parts = ", ".join(part for part, _ in stage.named_children())
            raise UsageError(
                f"Expected parts of the stage in compile ({parts}), got {name}."
            ) from error


def check_accelerator(name: str) -> None:
    """Raise UsageError for a GPU where there is none."""
    here = {"cuda": CUDAAccelerator.is_available(), "mps": MPSAccelerator.is_available()}
    here["gpu"] = here["cuda"] or here["mps"]
    if not here.get(name, True):
        raise UsageError(
            f"Expected a device for trainer.accelerator={name}, got none. Add trainer=cpu."
        )


def quieten(first_process: bool = True) -> None:
    """Keep Lightning's advice off the terminal, and what other processes say twice."""
    if not first_process:
        logging.getLogger("mrcontrast").setLevel(logging.WARNING)
    for name in ("lightning.pytorch", "lightning.fabric", "lightning"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (
        ".*does not have many workers.*",
        ".*Checkpoint directory .* exists and is not empty.*",
        ".*number of training batches .* is smaller than the logging interval.*",
        ".*resuming from a checkpoint that ended before the epoch ended.*",
        ".*GPU available but not used.*",
        ".*isinstance.treespec, LeafSpec.. is deprecated.*",
        ".*module.s. in eval mode at the start of training.*",
    ):
        warnings.filterwarnings("ignore", message)


def fit(
    trainer: Trainer,
    stage: Stage,
    datamodule: LightningDataModule,
    checkpoint: Path | None,
    folder: RunFolder,
) -> dict[str, Any]:
    """Fit, and leave the averaged weights of the best validation in the stage.

    Returns the best score: monitor, value, step; value None when no validation took place.
    """
    stage.before_fit(datamodule)
    if checkpoint is not None:
        log.info("Going on from %s", checkpoint)
        check_same(stage.state_dict(), read_checkpoint(checkpoint)["state_dict"], checkpoint)
    try:
        trainer.fit(stage, datamodule=datamodule, ckpt_path=checkpoint, weights_only=True)
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):  # Lightning exits with code 1
            signal.signal(signal.SIGINT, signal.default_int_handler)
            raise KeyboardInterrupt from None
        raise
    score: dict[str, Any] = {"value": None, "step": trainer.global_step}
    if folder.best_checkpoint.is_file():
        best = read_checkpoint(folder.best_checkpoint)
        stage.load_state_dict(best["state_dict"])
        score = score_of(best)
    stage.to(trainer.strategy.root_device).eval()
    stage.finish(datamodule)
    return score


def tabulate(
    trainer: Trainer, stage: Stage, datamodule: LightningDataModule, checkpoint: DictConfig
) -> dict[str, Any]:
    """Let a stage without steps learn in its ``finish``, validate it, and return its score."""
    stage.finish(datamodule)
    trainer.validate(stage, datamodule=datamodule, verbose=False)
    found = trainer.callback_metrics.get(checkpoint.monitor)
    value = None if found is None else float(found)
    return {"monitor": checkpoint.monitor, "value": value, "step": 0}
