"""Whether a folder holds a run of ours, and how a run moves aside for another one."""

import logging
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path

from omegaconf import OmegaConf

from mrcontrast.errors import MrcontrastError
from mrcontrast.runs.folder import RunFolder
from mrcontrast.storage.files import making_folder

log = logging.getLogger(__name__)

LOCK = ".training.lock"
WRITTEN = (  # by a training, in its folder
    "config.yaml",
    "provenance.json",
    "weights.safetensors",
    "metrics.csv",
    "checkpoints",
    "pictures",
    "nan_batch.pt",
)
REPLACED = (
    ".safetensors",
    ".ckpt",
)  # files that are never written in place: a hard link keeps them


def written(folder: RunFolder) -> list[str]:
    """Return the names in a folder that a training would write."""
    return [name for name in WRITTEN if os.path.lexists(folder.path / name)]


def has_config(folder: RunFolder) -> bool:
    """Return whether there is a config of a training in a folder."""
    try:
        return OmegaConf.select(folder.config, "stage._target_") is not None
    except (MrcontrastError, AssertionError):
        return False


def is_ours(folder: RunFolder) -> bool:
    """Return whether config and provenance in a folder are those that a training writes."""
    try:
        provenance = folder.provenance
    except MrcontrastError:
        return False
    versions = provenance.get("versions") if isinstance(provenance, Mapping) else None
    known = isinstance(versions, Mapping) and "mrcontrast" in versions and "stage" in provenance
    return known and has_config(folder)


def refuse_foreign(folder: RunFolder, replace: bool) -> None:
    """Refuse a folder in which a training would write over the work of others.

    Args:
        folder: That is to be trained in.
        replace: A run in it is to be replaced; else a run in it is to go on.

    Raises:
        MrcontrastError: It is one.
    """
    there = written(folder)
    if not there or there == ["provenance.json"]:  # killed between provenance and config
        return
    if not (is_ours(folder) if replace else has_config(folder)):
        raise MrcontrastError(
            f"Expected a run of mrcontrast or none, got {', '.join(there)} without its "
            f"config and provenance ({folder.path}). Choose another name= or out=, or move "
            "that away."
        )
    if not replace:
        refuse_links(folder, there)


def refuse_links(folder: RunFolder, names: Sequence[str]) -> None:
    """Refuse to go on in a run that came with links: its training would write at their ends.

    Raises:
        MrcontrastError: A name that a training writes is a link that leads out of the folder.
    """
    root = folder.path.resolve()
    for path in (folder.path / name for name in names):
        if path.is_symlink() and not path.resolve().is_relative_to(root):
            raise MrcontrastError(
                f"Expected no link that leads out of the run, got {path} -> {path.readlink()}. "
                "Remove the link, or choose another name= or out=."
            )


def set_aside(folder: RunFolder) -> None:
    """Rename a run folder, whole, so that another run can take its place.

    Raises:
        MrcontrastError: The operating system refuses; the folder stays where it is.
    """
    place = place_aside(folder)
    try:
        folder.path.rename(place)
    except OSError as error:
        raise MrcontrastError(
            f"Expected a folder that can be moved to {place}, got the error: "
            f"{error.strerror or error} ({folder.path}). Choose another name= or out=."
        ) from error
    (place / LOCK).unlink(missing_ok=True)
    log.info("The earlier run is kept in %s", place)


def keep_copy(folder: RunFolder) -> None:
    """Copy a run folder beside it before its files are replaced; large files are linked.

    Raises:
        MrcontrastError: The operating system refuses.
    """
    place = place_aside(folder)
    with making_folder(place) as copy:
        leave_out = shutil.ignore_patterns(LOCK)
        shutil.copytree(folder.path, copy, copy_function=link, ignore=leave_out, dirs_exist_ok=True)
    log.info("The run as it is now is kept in %s", place)


def link(source: str, target: str) -> None:
    """Copy a file, or link it where it is replaced rather than changed."""
    if source.endswith(REPLACED):
        try:
            os.link(source, target)
        except OSError:
            shutil.copy2(source, target)
    else:
        shutil.copy2(source, target)


def place_aside(folder: RunFolder) -> Path:
    """Return a free name beside a run folder: with the hash of its weights, else the time."""
    try:
        tag = folder.provenance.get("weights_sha256", "")[:12] if folder.finished else ""
    except MrcontrastError:
        tag = ""
    path = Path(os.path.abspath(folder.path))  # noqa: PTH100 - a link stays a link
    stem = f"{path.name}.earlier-{tag or time.strftime('%Y%m%dT%H%M%S')}"
    names = (path.with_name(stem if n == 1 else f"{stem}-{n}") for n in count(1))
    return next(place for place in names if not os.path.lexists(place))
