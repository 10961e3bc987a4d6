"""Recognise run folders of ours, and move or copy them before others take their place."""

import logging
import os
import shutil
import time
from collections.abc import Mapping
from itertools import count
from pathlib import Path

from omegaconf import OmegaConf

from mrcontrast.errors import MrcontrastError
from mrcontrast.runs.folder import RunFolder
from mrcontrast.storage.files import check_links, making_folder, move

log = logging.getLogger(__name__)

LOCK = ".training.lock"
WRITTEN = (  # by a training, in its folder
    *("config.yaml", "provenance.json", "weights.safetensors", "metrics.csv"),
    *("checkpoints", "pictures", "nan_batch.pt"),
)
REPLACED = (".safetensors", ".ckpt")  # never changed in place: a hard link keeps their content


def has_config(folder: RunFolder) -> bool:
    """Return whether there is a config of a training in a folder."""
    try:
        return OmegaConf.select(folder.config, "stage._target_") is not None
    except (MrcontrastError, AssertionError):
        return False


def is_ours(folder: RunFolder) -> bool:
    """Return whether config and provenance in a folder have the form that a training writes."""
    try:
        provenance = folder.provenance
    except MrcontrastError:
        return False
    versions = provenance.get("versions")
    known = isinstance(versions, Mapping) and "mrcontrast" in versions and "stage" in provenance
    return known and has_config(folder)


def check_run_folder(folder: RunFolder, replace: bool) -> None:
    """Raise MrcontrastError if a training in a folder would write over work of others.

    Args:
        folder: Folder to train in.
        replace: Whether a run in it is replaced; else it goes on.
    """
    there = [name for name in WRITTEN if os.path.lexists(folder.path / name)]
    if not there or there == ["provenance.json"]:  # killed between provenance and config
        return
    if not (is_ours(folder) if replace else has_config(folder)):
        raise MrcontrastError(
            f"Expected a run of mrcontrast or none, got {', '.join(there)} without its "
            f"config and provenance ({folder.path}). Choose another name= or out=, or move "
            "that away."
        )
    if not replace:
        paths = (folder.path / name for name in there)
        check_links(folder.path, paths, "run", "choose another name= or out=")


def set_aside(folder: RunFolder) -> None:
    """Rename a run folder, so that another run can take its place."""
    place = place_aside(folder)
    move(folder.path, place, "Choose another name= or out=.")
    (place / LOCK).unlink(missing_ok=True)
    log.info("The earlier run is kept in %s", place)


def keep_copy(folder: RunFolder) -> None:
    """Copy a run folder before its files are replaced, large files by hard links."""
    place = place_aside(folder)
    with making_folder(place) as copy:
        leave_out = shutil.ignore_patterns(LOCK)
        shutil.copytree(folder.path, copy, copy_function=link, ignore=leave_out, dirs_exist_ok=True)
    log.info("The present run is kept in %s", place)


def link(source: str, target: str) -> None:
    """Copy a file; link it where possible if it is never changed in place."""
    try:
        (os.link if source.endswith(REPLACED) else shutil.copy2)(source, target)
    except OSError:
        shutil.copy2(source, target)


def place_aside(folder: RunFolder) -> Path:
    """Return a free name next to a run folder: with the hash of its weights, else the time."""
    try:
        tag = folder.provenance.get("weights_sha256", "")[:12] if folder.finished else ""
    except MrcontrastError:
        tag = ""
    path = Path(os.path.abspath(folder.path))  # noqa: PTH100 - a link stays a link
    stem = f"{path.name}.earlier-{tag or time.strftime('%Y%m%dT%H%M%S')}"
    names = (path.with_name(stem if n == 1 else f"{stem}-{n}") for n in count(1))
    return next(place for place in names if not os.path.lexists(place))
