"""From the words after ``-m`` to the jobs of a sweep."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mrcontrast.config import build, compose
from mrcontrast.course import FREE_KEYS, FREE_PATHS, deciding
from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.study_runs import outside_names
from mrcontrast.sweeps.jobs import Job, short_name
from mrcontrast.sweeps.objective import monitor_of
from mrcontrast.sweeps.search import Point, Search

PLACE = {"train": "run_dir", "study": "folder"}  # key of a job's folder
FREE = (*FREE_KEYS, "folder", "name")  # what does not decide a job's result
OPTUNA = "mrcontrast.sweeps.search.OptunaSearch"
PARENTS = ("autoencoder", "diffusion", "regression", "start_from")


@dataclass(frozen=True)
class Plan:
    """What a sweep is to do.

    Attributes:
        command: "train" or "study".
        fixed: Overrides that all jobs share.
        dimensions: Overrides with several values.
        config: Of the first job, Hydra's own settings included.
        folder: Of the sweep.
    """

    command: str
    fixed: tuple[str, ...]
    dimensions: tuple[Override, ...]
    config: DictConfig
    folder: Path

    def identity(self) -> list[str]:
        """Return the shared overrides that decide results; a folder holds one such sweep."""
        return sorted(text for text in self.fixed if not is_free(text))

    def texts(self) -> list[str]:
        """Return all overrides as they were typed."""
        return [*self.fixed, *(text_of(override) for override in self.dimensions)]

    def job(self, point: Point, number: int, parent_run: str | None, taken: Mapping) -> Job:
        """Return the job of a point: the one that is there, or a new one.

        Args:
            point: Values of the dimensions.
            number: Place of a new job in the sweep.
            parent_run: MLflow run of the sweep.
            taken: Jobs so far by the name of their folder.
        """
        varied = [f"{key}={value}" for key, value in point.varied.items()]
        config = self.compose([*self.fixed, *varied])
        identity = hash_of(self.command, config) if config is not None else text_hash(varied)
        monitor, mode = monitor_of(self.command, config if config is not None else self.config)
        for job in taken.values():
            if job.identity == identity:
                job.parent_run = parent_run
                job.overrides = self.overrides(varied, job.folder)
                return job
        name = short_name(point.varied)
        if name in taken:
            name = f"{name}-{identity[:6]}"
        folder = self.folder / name
        overrides = self.overrides(varied, folder)
        job = Job(folder, self.command, overrides, dict(point.varied), identity)
        job.number, job.parent_run, job.searched = number, parent_run, dict(point.searched)
        job.monitor, job.mode = monitor, mode
        return job

    def overrides(self, varied: Sequence[str], folder: Path) -> list[str]:
        """Return what a job is composed with; what is free may differ from its last attempt."""
        shown = f"name={self.folder.name}/{folder.name}"
        return [*self.fixed, *varied, f"{PLACE[self.command]}={folder}", shown]

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
    parsed = parse(arguments)
    for override in parsed:
        if override.key_or_group in (PLACE[command], "overwrite"):
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

    from mrcontrast.config_errors import usage_error

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


def is_free(text: str) -> bool:
    """Return whether an override does not decide the results."""
    key = text.lstrip("+~").split("=")[0]
    return key.split(".")[0] in FREE or key in (*FREE_PATHS, "hydra.searchpath")


def hash_of(command: str, config: DictConfig) -> str:
    """Return the hash of a job's config, its prepared data and the runs that it starts from.

    Two jobs with one hash give the same result; folders, names and logging do not count.
    """
    plain = plain_values(config)
    named = {key: plain[key] for key in PARENTS if plain.get(key)}
    if command == "study":
        named |= {name: name for name in outside_names(plain["study"])}
    runs = {key: weights_of(reference) for key, reference in named.items()}
    return text_hash([command, deciding(plain, FREE), runs, data_hashes(plain)])


def data_hashes(plain: Mapping[str, Any]) -> list[str] | None:
    """Return the hashes of data and split that a training reads; None where they are not there."""
    root = (plain.get("data") or {}).get("root")
    if root is None or not Path(root).is_dir():
        return None
    from mrcontrast.data.manifest import Manifest

    try:
        manifest = Manifest.read(root)
    except MrcontrastError:  # the job itself will say it
        return None
    return [manifest.data_hash, manifest.split_hash]


def plain_values(config: DictConfig) -> dict[str, Any]:
    """Return a config as plain values, interpolations as written where they lead to a gap."""
    try:
        plain: Any = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException:
        plain = OmegaConf.to_container(config, resolve=False)
    return plain


def weights_of(path: str) -> str | None:
    """Return the hash of a run's weights, None for one that is not finished."""
    from mrcontrast.released import open_run

    return open_run(path).provenance.get("weights_sha256")


def text_hash(facts: Any) -> str:  # noqa: ANN401 - any JSON
    """Return a hash of plain values."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
