"""Set initial weights from parent runs, or from an earlier run of the same stage."""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from torch import nn

from mrcontrast.config.build import module_name
from mrcontrast.errors import UsageError
from mrcontrast.runs.folder import RunFolder
from mrcontrast.stages.contract import Stage
from mrcontrast.tracking.references import open_run
from mrcontrast.training.lineage import (
    PARENTS,
    adopt_weights,
    check_dims,
    check_run,
    check_same,
    is_below,
)

log = logging.getLogger(__name__)
PATCH_SIZE = "data.items.patch_size"
LOCAL = "mrcontrast.networks.local"  # networks without norms over the image
OTHER_DATA = (
    "The weights to start from (%s) have seen %s %s, this data set has %s. "
    "Prepare it alike, unless that is meant."
)
PATCHES_ALONE = (
    "%s has seen patches of %s only; norms that average over the image shift the levels of whole "
    "volumes then. Train it on: start_from=%s %s=null."
)


def find_start(config: DictConfig) -> RunFolder | None:
    """Return the verified run that ``config.start_from`` names; None when it names none."""
    if config.get("start_from") is None:
        return None
    run = open_run(config.start_from)
    if run.path.resolve() == Path(config.out).resolve():
        raise UsageError(
            f"Expected start_from to be another run than out, got {run.path} twice. "
            "Add name=NAME or out=FOLDER."
        )
    check_run(run, "start_from", [module_name(config.stage._target_)])
    check_dims(run, "start_from", config)
    return run


def take_over(
    stage: Stage, parents: Mapping[str, RunFolder], start: RunFolder | None = None
) -> None:
    """Give a freshly built stage all weights that it begins with, in place.

    First the frozen parts of its parents, then its own ``initialise()``, which may copy from them,
    and over that the trainable parts of the run that it starts from, with those frozen parts for
    which no parent is named.
    """
    adopt_weights(stage, parents)
    stage.initialise()
    if start is not None:
        load_start(stage, start, parents)


def load_start(stage: nn.Module, run: RunFolder, parents: Iterable[str] = ()) -> None:
    """Load weights from a run of the same stage, in place, but for those of ``parents``."""
    named = dict(stage.named_parameters())
    parts = {name.split(".")[0] for name, value in named.items() if value.requires_grad}
    frozen = {name for name, value in named.items() if not value.requires_grad}
    if not parts:
        name = type(stage).__name__
        raise UsageError(
            f"Expected a stage with weights to train, got {name} ({run.path}). "
            "Leave start_from out."
        )
    adopted = {part for name in parents for part in PARENTS[name].weights}
    lent = {part for parent in PARENTS.values() for part in parent.weights}

    def is_taken(key: str) -> bool:
        if key.split(".")[0] in parts and key not in frozen:
            return True
        return is_below(key, lent) and not is_below(key, adopted)

    wanted, found = (
        {key: value for key, value in state.items() if is_taken(key)}
        for state in (stage.state_dict(), run.read_weights())
    )
    check_same(wanted, found, run.weights_path)
    for key, value in found.items():
        wanted[key].copy_(value)


def warn_of_other_data(start: RunFolder, data: Mapping[str, Any] | None) -> None:
    """Warn where a run goes on from weights of another grid or normalisation."""
    before, data = start.provenance.get("data") or {}, data or {}
    for key in [key for key in data if key in before and key != "shape"]:
        if before[key] != data[key]:
            log.warning(OTHER_DATA, start.path, key, before[key], data[key])


def warn_of_patches(parents: Mapping[str, RunFolder], config: DictConfig) -> None:
    """Warn where whole volumes go through parents that were trained on patches alone."""
    if OmegaConf.select(config, PATCH_SIZE) is not None:
        return
    for parent in parents.values():
        seen = OmegaConf.select(parent.config, PATCH_SIZE)
        if seen is not None and LOCAL not in OmegaConf.to_yaml(parent.config.stage):
            log.warning(PATCHES_ALONE, parent.path, list(seen), parent.path, PATCH_SIZE)


def origin_of(parents: Mapping[str, RunFolder], start: RunFolder | None = None) -> dict[str, Any]:
    """Return what provenance says of earlier runs: parents' and grandparents' hashes, the start."""
    hashes: dict[str, str] = {} if start is None else dict(start.provenance.get("parents", {}))
    for name, parent in parents.items():
        hashes |= parent.provenance.get("parents", {})
        hashes[name] = parent.provenance["weights_sha256"]
    origin: dict[str, Any] = {"parents": hashes, "start_from": None}
    if start is not None:
        sha256 = start.provenance["weights_sha256"]
        origin["start_from"] = {"path": str(start.path.absolute()), "weights_sha256": sha256}
    return origin
