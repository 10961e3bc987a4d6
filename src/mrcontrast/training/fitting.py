"""Fit a stage: by steps, or at once for a stage without steps."""

import logging
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from mrcontrast.runs.folder import RunFolder

if TYPE_CHECKING:
    from lightning import LightningDataModule, Trainer

    from mrcontrast.stages.contract import Stage

log = logging.getLogger(__name__)


def fit(
    trainer: "Trainer",
    stage: "Stage",
    datamodule: "LightningDataModule",
    checkpoint: Path | None,
    folder: RunFolder,
) -> dict[str, Any]:
    """Fit, and leave the averaged weights of the best validation in the stage.

    Returns:
        The best score: monitor, value, step; value None when no validation took place.

    Raises:
        KeyboardInterrupt: Ctrl-C, which Lightning turns into a bare exit code 1.
        MrcontrastError: The checkpoint does not fit the stage.
    """
    from mrcontrast.training.resume import check_checkpoint, read_checkpoint, score_of

    stage.before_fit(datamodule)
    if checkpoint is not None:
        log.info("Going on from %s", checkpoint)
        check_checkpoint(stage, checkpoint)
    try:
        trainer.fit(stage, datamodule=datamodule, ckpt_path=checkpoint, weights_only=True)
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):
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
    trainer: "Trainer",
    stage: "Stage",
    datamodule: "LightningDataModule",
    checkpoint: DictConfig,
) -> dict[str, Any]:
    """Let a stage without steps learn in its ``finish``, then validate it.

    Returns:
        Its score: monitor, value, step 0.
    """
    stage.finish(datamodule)
    trainer.validate(stage, datamodule=datamodule, verbose=False)
    found = trainer.callback_metrics.get(checkpoint.monitor)
    value = None if found is None else float(found)
    return {"monitor": checkpoint.monitor, "value": value, "step": 0}
