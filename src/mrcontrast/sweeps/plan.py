"""From the words after ``-m`` to the jobs of a sweep."""

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
from mrcontrast.storage.files import json_hash
from mrcontrast.sweeps.foreign import is_free_place
from mrcontrast.sweeps.identity import FREE, difference, identity_of
from mrcontrast.sweeps.jobs import LOCK, LOG, Job, short_name
from mrcontrast.sweeps.objective import monitor_of
from mrcontrast.sweeps.search import Point, Search

PLACE = "out"  # key of a job's folder
OPTUNA = "mrcontrast.sweeps.search.OptunaSearch"


@dataclass(frozen=True)
class Plan:
    """What a sweep is to do.

    Attributes:
        command: "train" or "study".
        fixed: Overrides that all jobs share.
        dimensions: Overrides with several values.
        config: Of the first job, Hydra's own settings included.
        folder: Of the sweep.
        found: Jobs described so far, by a hash of their values: composing takes a while.
    """

    command: str
    fixed: tuple[str, ...]
    dimensions: tuple[Override, ...]
    config: DictConfig
    folder: Path
    found: dict[str, Job] = field(default_factory=dict)

    def identity(self) -> list[str]:
        """Return the shared overrides that decide results; a folder holds one such sweep."""
        return sorted(text for text in self.fixed if not is_free(text))

    def texts(self) -> list[str]:
        """Return all overrides as they were typed."""
        return [*self.fixed, *(text_of(override) for override in self.dimensions)]

    def job(self, point: Point, known: Mapping[str, Job]) -> Job:
        """Return the job of a point, with the progress of the one that is there.

        Args:
            point: Values of the dimensions.
            known: Jobs so far by the name of their folder.
        """
        new = self.described(point.varied)
        for job in known.values():
            if difference(job.identity, new.identity) is None:
                return job.carried_into(
                    new, point.searched, self.overrides(point.varied, job.folder)
                )
        folder = self.new_folder(short_name(point.varied), new, known)
        number = max((job.number for job in known.values()), default=0) + 1
        overrides = self.overrides(point.varied, folder)
        searched = dict(point.searched)
        return replace(new, folder=folder, overrides=overrides, number=number, searched=searched)

    def described(self, varied: Mapping[str, str]) -> Job:
        """Return a job without folder and overrides: its identity and score as of today."""
        key = json_hash(list(varied.items()))
        if key not in self.found:
            config = self.compose([*self.fixed, *texts_of(varied)])
            if config is None:
                identity, config = {"config": key}, self.config
            else:
                identity = identity_of(self.command, config)
            monitor, mode = monitor_of(self.command, config)
            job = Job(self.folder, self.command, [], dict(varied), identity)
            self.found[key] = replace(job, monitor=monitor, mode=mode)
        return self.found[key]

    def new_folder(self, name: str, job: Job, known: Mapping[str, Job]) -> Path:
        """Return a folder below the sweep's that holds neither a job nor anything else."""
        suffix = json_hash(job.identity)
        for tried in (name, *(f"{name}-{suffix[:length]}" for length in (6, 12, 24))):
            if tried not in known and is_free_place(self.folder / tried, (LOCK, LOG)):
                return self.folder / tried
        raise MrcontrastError(
            f"Expected a free name for a job, got folders that hold something else "
            f"({self.folder / name}*). Choose another name=NAME."
        )

    def overrides(self, varied: Mapping[str, str], folder: Path) -> list[str]:
        """Return the overrides of a job; free ones may differ from those of its last attempt.

        Folder and name come last; see ``Job.deciding_overrides``.
        """
        shown = f"name={self.folder.name}/{folder.name}"
        return [*self.fixed, *texts_of(varied), f"{PLACE}={folder}", shown]

    def compose(self, overrides: Sequence[str]) -> DictConfig | None:
        """Return the config of a job; None when it does not compose, as the job itself will say."""
        try:
            return compose(self.command, list(overrides))
        except MrcontrastError:
            return None


def read_plan(command: str, arguments: Sequence[str]) -> tuple[Plan, Search, Any]:
    """Return what is to be done, how points are found, and what runs the jobs.

    Args:
        command: "train" or "study".
        arguments: Overrides, some with several values, and Hydra's own.

    Raises:
        UsageError: They do not fit the configs, or set what a sweep sets itself.
    """
    parsed = parse(renamed_keys(command, arguments))
    for override in parsed:
        if override.key_or_group in (PLACE, "overwrite"):
            raise UsageError(
                f"Expected no {override.key_or_group} in a sweep, got {override.input_line}. "
                "Name its folder by name=NAME; remove that to do it anew."
            )
    hydra = [text_of(override) for override in parsed if override.is_hydra_override()]
    own = [override for override in parsed if not override.is_hydra_override()]
    settings = compose(command, [*first_values(own), *hydra], with_hydra=True)
    if settings.hydra.sweeper._target_ == OPTUNA and find_spec("optuna") is None:
        raise UsageError(
            "Expected optuna, got no such package. Run pip install 'mrcontrast[sweep]'."
        )
    search: Search = build(settings.hydra.sweeper)
    keys = {override.key_or_group for override in own}
    more = [f"{key}={value}" for key, value in search.params.items() if key not in keys]
    own += parse(more)
    settings = compose(command, [*first_values(own), *hydra], with_hydra=True)
    searched = [text for text in hydra if text.startswith("hydra.searchpath")]
    kept = [text_of(override) for override in own if not override.is_sweep_override()]
    fixed = tuple([*searched, *(text for text in kept if not text.startswith("name="))])
    dimensions = tuple(override for override in own if override.is_sweep_override())
    folder = Path(settings.hydra.sweep.dir).absolute()
    plan = Plan(command, fixed, dimensions, settings, folder)
    return plan, search, build(settings.hydra.launcher)


def parse(arguments: Sequence[str]) -> list[Override]:
    """Return overrides by Hydra's own grammar.

    Raises:
        UsageError: One does not follow it.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    from mrcontrast.config.errors import usage_error

    try:
        return OverridesParser.create().parse_overrides(list(arguments))
    except HydraException as error:
        raise usage_error(error, "train") from error


def text_of(override: Override) -> str:
    """Return an override as it was typed."""
    return str(override.input_line)


def first_values(overrides: Sequence[Override]) -> list[str]:
    """Return the overrides with the first value of each, which stands for all."""
    texts = []
    for override in overrides:
        if not override.is_sweep_override():
            texts.append(text_of(override))
        elif override.is_discrete_sweep():
            value = next(iter(override.sweep_string_iterator()))
            texts.append(f"{override.get_key_element()}={value}")
        else:
            interval: Any = override.value()
            texts.append(f"{override.get_key_element()}={interval.start}")
    return texts


def texts_of(varied: Mapping[str, str]) -> list[str]:
    """Return the values of a point as overrides."""
    return [f"{key}={value}" for key, value in varied.items()]


def is_free(text: str) -> bool:
    """Return whether an override does not decide the results."""
    key = text.lstrip("+~").split("=")[0]
    return key.split(".")[0] in FREE or key in (*FREE_PATHS, "hydra.searchpath")
