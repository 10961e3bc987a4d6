"""Plan the jobs of a sweep from the overrides after ``-m``."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig

from mrcontrast.config.build import build, compose
from mrcontrast.config.option_names import renamed_keys
from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.runs.identity import FREE_PATHS
from mrcontrast.storage.files import UNFINISHED, json_hash
from mrcontrast.sweeps.identity import FREE, difference, identity_of
from mrcontrast.sweeps.jobs import LOCK, LOG, PROGRESS, Job, monitor_of, short_name
from mrcontrast.sweeps.search import Point, Search

PLACE = "out"  # key of a job's folder
OPTUNA = "mrcontrast.sweeps.search.OptunaSearch"


@dataclass(frozen=True)
class Plan:
    """A sweep before it runs."""

    command: str
    fixed: tuple[str, ...]  # overrides that all jobs share
    dimensions: tuple[Override, ...]  # overrides with several values
    config: DictConfig  # of the first job, with Hydra's own settings
    folder: Path
    found: dict[str, Job] = field(default_factory=dict)  # composed jobs by a hash of their values

    def identity(self) -> list[str]:
        """Return the shared overrides that decide results; a folder holds one such sweep."""
        return sorted(text for text in self.fixed if not is_free(text))

    def job(self, point: Point, known: Mapping[str, Job]) -> Job:
        """Return the job of a point, with the progress of one that is ``known`` by its folder."""
        new = self.described(point.varied)
        same = (job for job in known.values() if difference(job.identity, new.identity) is None)
        if (job := next(same, None)) is not None:
            folder, searched = job.folder, dict(point.searched) or job.searched
            kept = {key: getattr(job, key) for key in ("number", *PROGRESS)}
        else:
            folder, searched = self.new_folder(new, known), dict(point.searched)
            kept = {"number": max((job.number for job in known.values()), default=0) + 1}
        own = [f"{PLACE}={folder}", f"name={self.folder.name}/{folder.name}"]
        overrides = [*self.fixed, *texts_of(point.varied), *own]
        return replace(new, folder=folder, overrides=overrides, searched=searched, **kept)

    def described(self, varied: Mapping[str, str]) -> Job:
        """Return a job with its present identity and score, without folder and overrides."""
        key = json_hash(list(varied.items()))
        if key not in self.found:
            try:
                config = compose(self.command, [*self.fixed, *texts_of(varied)])
                identity = identity_of(self.command, config)
            except MrcontrastError:  # the job itself reports it
                identity, config = {"config": key}, self.config
            monitor, mode = monitor_of(self.command, config)
            job = Job(self.folder, self.command, [], dict(varied), identity)
            self.found[key] = replace(job, monitor=monitor, mode=mode)
        return self.found[key]

    def new_folder(self, job: Job, known: Mapping[str, Job]) -> Path:
        """Return a free folder in the sweep's."""
        name, suffix = short_name(job.varied), json_hash(job.identity)
        for tried in (name, *(f"{name}-{suffix[:length]}" for length in (6, 12, 24))):
            if tried not in known and is_free_place(self.folder / tried):
                return self.folder / tried
        raise MrcontrastError(
            f"Expected a free name for a job, got folders that hold something else "
            f"({self.folder / name}*). Choose another name=NAME."
        )


def read_plan(command: str, arguments: Sequence[str]) -> tuple[Plan, Search, Any]:
    """Return plan, search and launcher of a sweep.

    Overrides that do not fit the configs, or set keys of the sweep itself, are UsageError.
    """
    parsed = parse(renamed_keys(command, arguments))
    for override in parsed:
        if override.key_or_group in (PLACE, "overwrite"):
            raise UsageError(
                f"Expected no {override.key_or_group} in a sweep, got {override.input_line}. "
                "Name its folder by name=NAME; remove that to do it anew."
            )
    hydra = [str(override.input_line) for override in parsed if override.is_hydra_override()]
    own = [override for override in parsed if not override.is_hydra_override()]
    settings = compose(command, [*first_values(own), *hydra], with_hydra=True)
    if settings.hydra.sweeper._target_ == OPTUNA and find_spec("optuna") is None:
        raise UsageError(
            "Expected optuna, got no such package. Run pip install 'mrcontrast[sweep]'."
        )
    search: Search = build(settings.hydra.sweeper)
    keys = {override.key_or_group for override in own}
    own += parse([f"{key}={value}" for key, value in search.params.items() if key not in keys])
    settings = compose(command, [*first_values(own), *hydra], with_hydra=True)
    paths = [text for text in hydra if text.startswith("hydra.searchpath")]
    kept = [str(override.input_line) for override in own if not override.is_sweep_override()]
    fixed = tuple([*paths, *(text for text in kept if not text.startswith("name="))])
    dimensions = tuple(override for override in own if override.is_sweep_override())
    folder = Path(settings.hydra.sweep.dir).absolute()
    plan = Plan(command, fixed, dimensions, settings, folder)
    return plan, search, build(settings.hydra.launcher)


def parse(arguments: Sequence[str]) -> list[Override]:
    """Return overrides by Hydra's grammar; raise UsageError for another one."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    from mrcontrast.config.errors import usage_error

    try:
        return OverridesParser.create().parse_overrides(list(arguments))
    except HydraException as error:
        raise usage_error(error, "train") from error


def first_values(overrides: Sequence[Override]) -> list[str]:
    """Return each override with its first value."""
    texts = []
    for override in overrides:
        if not override.is_sweep_override():
            texts.append(str(override.input_line))
            continue
        interval: Any = override.value()
        discrete = override.is_discrete_sweep()
        value = next(iter(override.sweep_string_iterator())) if discrete else interval.start
        texts.append(f"{override.get_key_element()}={value}")
    return texts


def texts_of(varied: Mapping[str, str]) -> list[str]:
    """Return the values of a point as overrides."""
    return [f"{key}={value}" for key, value in varied.items()]


def is_free(text: str) -> bool:
    """Return whether an override has no influence on results."""
    key = text.lstrip("+~").split("=")[0]
    return key.split(".")[0] in FREE or key in (*FREE_PATHS, "hydra.searchpath")


def is_free_place(folder: Path) -> bool:
    """Return whether a folder is absent, or holds only files of a job that never began."""
    if folder.is_symlink() or not folder.is_dir():
        return not os.path.lexists(folder)
    names = [path.name for path in folder.iterdir()]
    return all(name in (LOCK, LOG) or UNFINISHED.fullmatch(name) for name in names)
