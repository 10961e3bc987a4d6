"""Whether a training starts anew, goes on, or is done: what its run folder says."""

import os
import pickle
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import nn

from mrcontrast.course import deciding
from mrcontrast.errors import MrcontrastError, one_line
from mrcontrast.lineage import check_same
from mrcontrast.run_folder import RunFolder, first_difference


@dataclass(frozen=True)
class Start:
    """How a training starts: anew, from a checkpoint, or not at all since it is done."""

    checkpoint: Path | None = None
    finished: bool = False


def how_to_start(folder: RunFolder, config: DictConfig) -> Start:
    """Decide from ``resume``, ``overwrite`` and what lies in the run folder.

    Raises:
        MrcontrastError: The folder holds a run with another config; the first key is named.
    """
    if config.resume not in (None, "auto"):
        checkpoint = Path(config.resume)
        if not checkpoint.is_file():
            raise MrcontrastError(
                f"Expected a checkpoint, got no file ({checkpoint}). Check resume=PATH."
            )
        return Start(checkpoint)
    if not folder.config_path.exists():
        return Start()
    if config.overwrite:
        if is_first_process():
            clear(folder)
        return Start()
    difference = first_difference(course(folder.config), course(config))
    if difference is not None:
        key, theirs, ours = difference
        raise MrcontrastError(
            f"Expected the config of the run that is there, got {key}={ours} where it has "
            f"{theirs} ({folder.path}). Choose another run_dir, or add overwrite=true."
        )
    if folder.finished:
        return Start(finished=True)
    going_on = config.resume == "auto" and folder.last_checkpoint.is_file()
    return Start(folder.last_checkpoint if going_on else None)


def course(config: DictConfig) -> dict[str, Any]:
    """Return the part of a config that decides the course of a training, as plain values."""
    plain: Any = OmegaConf.to_container(config, resolve=True)
    return deciding(plain)


def clear(folder: RunFolder) -> None:
    """Remove what an earlier run wrote, and nothing else that lies in the folder."""
    for path in (folder.checkpoints, folder.pictures):
        shutil.rmtree(path, ignore_errors=True)
    files = (folder.config_path, folder.weights_path, folder.provenance_path, folder.metrics_path)
    for path in (*files, folder.path / "nan_batch.pt"):
        path.unlink(missing_ok=True)


def check_origin(before: dict[str, Any], now: dict[str, Any], folder: RunFolder) -> None:
    """Refuse to go on when data or earlier runs are not those that the training began with."""
    for key in ("data_hash", "split_hash", "parents", "start_from"):
        if key in before and before[key] != now[key]:
            raise MrcontrastError(
                f"Expected the {key} that training began with, got another one ({folder.path}). "
                "Add overwrite=true to train anew."
            )


def check_checkpoint(stage: nn.Module, checkpoint: Path) -> None:
    """Refuse a checkpoint that does not hold this stage's tensors.

    Raises:
        MrcontrastError: A tensor is missing, left over or of another shape; it is named.
    """
    check_same(stage.state_dict(), read_checkpoint(checkpoint)["state_dict"], checkpoint)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint without pickle, to the CPU.

    Raises:
        MrcontrastError: It is not a checkpoint, or broken.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = one_line(error, most=200)
        raise MrcontrastError(
            f"Expected a checkpoint, got: {reason} ({path}). Resume from another one."
        ) from error
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
        raise MrcontrastError(
            f"Expected a checkpoint, got a file without state_dict ({path}). "
            "Resume from another one."
        )
    return checkpoint


def score_of(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Return monitor, value and step of the checkpoint that was the best so far."""
    for state in checkpoint.get("callbacks", {}).values():
        if isinstance(state, dict) and state.get("best_model_score") is not None:
            value = float(state["best_model_score"])
            step = checkpoint["global_step"]
            return {"monitor": state["monitor"], "value": value, "step": step}
    return {"value": None, "step": checkpoint["global_step"]}


def is_first_process() -> bool:
    """Return whether this is the only process of a training, or the one that writes.

    Asked before Lightning starts: its own launcher, torchrun and SLURM each leave other names, and
    all that they leave is 0 in the first process alone.
    """
    names = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID")
    return all(int(os.environ.get(name) or 0) == 0 for name in names)
