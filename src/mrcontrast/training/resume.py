"""Decide from a run folder whether a training starts, resumes or is finished."""

import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from mrcontrast.errors import MrcontrastError, UsageError, one_line
from mrcontrast.runs.contents import check_run_folder, keep_copy, set_aside
from mrcontrast.runs.folder import RunFolder
from mrcontrast.runs.identity import deciding, first_difference, without_places

LONGER = ("trainer.max_steps", "trainer.max_epochs", "trainer.max_time")


@dataclass(frozen=True)
class Start:
    """How a training starts: anew, from a checkpoint, or not at all since it is done.

    ``moved`` says that an earlier run has just moved aside.
    """

    checkpoint: Path | None = None
    finished: bool = False
    moved: bool = False


def how_to_start(folder: RunFolder, config: DictConfig) -> Start:
    """Decide from ``resume``, ``overwrite`` and the content of the run folder.

    A run that is to be replaced moves aside, whole. One with another config is refused, and so are
    files that no training of ours has written.
    """
    checkpoint = given_checkpoint(folder, config)
    if not is_first_process():
        if checkpoint is None and config.resume == "auto" and not config.overwrite:
            checkpoint = last_of(folder)
        return Start(checkpoint)
    check_run_folder(folder, replace=is_replacing(config))
    if not folder.config_path.exists():
        return Start(checkpoint)
    if config.overwrite:
        set_aside(folder)
        return Start(checkpoint, moved=True)
    difference = changed_course(folder, config)
    if checkpoint is not None:
        if folder.finished or difference is not None:
            keep_copy(folder)
        return Start(checkpoint)
    if difference is not None:
        raise refusal(folder, *difference)
    if folder.finished:
        folder.verify()
        return Start(finished=True)
    if config.resume == "auto" or last_of(folder) is None:
        return Start(last_of(folder) if config.resume == "auto" else None)
    set_aside(folder)
    return Start(moved=True)


def is_replacing(config: DictConfig) -> bool:
    """Return whether a training is to take the place of a run in its folder."""
    return bool(config.overwrite) or config.resume != "auto"


def given_checkpoint(folder: RunFolder, config: DictConfig) -> Path | None:
    """Return the checkpoint that ``resume`` names, if it names one."""
    if config.resume in (None, "auto"):
        return None
    checkpoint = Path(config.resume)
    if not checkpoint.is_file():
        raise MrcontrastError(
            f"Expected a checkpoint, got no file ({checkpoint}). Check resume=PATH."
        )
    if config.overwrite and folder.path.resolve() in checkpoint.resolve().parents:
        raise UsageError(
            f"Expected no overwrite=true, got it with a checkpoint of the run itself "
            f"({checkpoint}). Leave it out, or choose another name=."
        )
    return checkpoint


def last_of(folder: RunFolder) -> Path | None:
    """Return the last checkpoint of a run, if there is one."""
    return folder.last_checkpoint if folder.last_checkpoint.is_file() else None


def changed_course(folder: RunFolder, config: DictConfig) -> tuple[str, Any, Any] | None:
    """Return the first setting that differs from that of a run: key, its value, today's.

    More steps come first, since there is a way to get them. Places of data and earlier runs do not
    count; ``check_origin`` compares their hashes.
    """
    theirs, ours = course(folder.config), course(config)
    if folder.provenance.get("data_hash") is not None:
        theirs, ours = without_places(theirs), without_places(ours)
    for key in LONGER:
        section, name = key.split(".")
        pair = theirs.get(section, {}).get(name), ours.get(section, {}).get(name)
        if pair[0] != pair[1]:
            return key, *pair
    return first_difference(theirs, ours)


def refusal(folder: RunFolder, key: str, theirs: object, ours: object) -> MrcontrastError:
    """Return the error of a run that is there with another config."""
    if key in LONGER and folder.finished:
        advice = (
            f"That run is finished: to train on from its weights, add start_from={folder.path} "
            "name=NEW."
        )
    else:
        advice = "Choose another name= or out=; overwrite=true moves that run aside."
    return MrcontrastError(
        f"Expected the config of the run that is there, got {key}={ours} where it has "
        f"{theirs} ({folder.path}). {advice}"
    )


def course(config: DictConfig) -> dict[str, Any]:
    """Return the part of a config that decides the course of a training, as plain values."""
    plain: Any = OmegaConf.to_container(config, resolve=True)
    return deciding(plain)


def check_origin(before: dict[str, Any], now: dict[str, Any], folder: RunFolder) -> None:
    """Refuse to go on when data or earlier runs are not those that the training began with."""
    for key in ("data_hash", "split_hash", "parents", "start_from"):
        if key in before and weights_in(before[key]) != weights_in(now[key]):
            raise MrcontrastError(
                f"Expected the {key} that training began with, got another one ({folder.path}). "
                "Choose another name= or out=; overwrite=true moves that run aside."
            )


def weights_in(origin: Any) -> Any:  # noqa: ANN401 - a hash, hashes by name, or path and hash
    """Return what an entry of the provenance says without the place of a run."""
    if isinstance(origin, dict):
        return {key: value for key, value in origin.items() if key not in ("path", "seconds")}
    return origin


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint without pickle, to the CPU; a broken one raises MrcontrastError."""
    import torch

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

    Before Lightning starts, its launcher, torchrun and SLURM leave different names, all 0 there.
    """
    names = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID")
    return all(int(os.environ.get(name) or 0) == 0 for name in names)
