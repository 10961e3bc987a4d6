"""Compose configs from YAML and build objects from them."""

import re
from collections.abc import Sequence
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from mrcontrast.config.errors import usage_error
from mrcontrast.config.moved import with_names_of_today
from mrcontrast.config.option_names import renamed_keys
from mrcontrast.errors import MrcontrastError, UsageError, one_line, with_cause

PACKAGE = Path(__file__).resolve().parents[1]
NAME_OF_STAGE = "${hydra:runtime.choices.stage}"  # in configs/train.yaml
# Of Hydra: a target that does not exist, or that fails when it is called, and its key.
FAULT = re.compile(
    r"Error (?:locating target '([^']+)'|in call to target '([^']+)':\s*(.+?))"
    r"(?:, set env var.*?)?\s*(?:full_key: (\S+))?$",
    re.DOTALL,
)
TYPED = "${hydra:overrides.task}"  # likewise


def config_dir() -> Path:
    """Return the folder of the YAML files, in the wheel or else in the checkout."""
    for folder in (PACKAGE / "configs", PACKAGE.parents[1] / "configs"):
        if (folder / "train.yaml").is_file():
            return folder
    raise UsageError(f"Expected a folder of configs beside {PACKAGE}, got none. Install again.")


def compose(entry: str, overrides: list[str] | None = None, with_hydra: bool = False) -> DictConfig:
    """Compose ``configs/<entry>.yaml`` with Hydra overrides, as the command line does.

    Args:
        entry: Name of an entry point: "train", "study", "prepare", ...
        overrides: Hydra overrides, such as ``["stage=autoencoder", "seed=1"]``; one that does not
            fit the configs is UsageError.
        with_hydra: Keep Hydra's own settings, below ``hydra``.
    """
    import hydra
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from yaml import YAMLError

    overrides = renamed_keys(entry, overrides or [])
    register_resolvers()
    GlobalHydra.instance().clear()
    try:
        with hydra.initialize_config_dir(str(config_dir()), version_base="1.3"):
            config = hydra.compose(entry, overrides, return_hydra_config=True)
        plain: Any = OmegaConf.to_container(config)
        with open_dict(config):  # which only Hydra's own command resolves
            if plain.get("name") == NAME_OF_STAGE:
                config.name = config.hydra.runtime.choices.stage
            if plain.get("overrides") == TYPED:
                config.overrides = config.hydra.overrides.task
            if not with_hydra:
                del config["hydra"]
        return config
    except (HydraException, OmegaConfBaseException, YAMLError) as error:
        keys = partial(keys_without, entry, overrides)
        raise usage_error(error, entry, keys, config_dir()) from error


def keys_without(entry: str, overrides: Sequence[str], unknown: str) -> list[str]:
    """Return all keys of the config without the overrides of an unknown one."""
    rest = [text for text in overrides if text.lstrip("+~").split("=")[0] != unknown]
    if len(rest) == len(overrides):
        return []
    return flat_keys(OmegaConf.to_container(compose(entry, rest), resolve=False))


def flat_keys(node: Any, prefix: str = "") -> list[str]:  # noqa: ANN401 - any plain value
    """Return the keys of a plain config and of all its nodes, dotted."""
    if not isinstance(node, dict):
        return []
    return [
        name
        for key, value in node.items()
        for name in (f"{prefix}{key}", *flat_keys(value, f"{prefix}{key}."))
    ]


def resolve(config: DictConfig) -> DictConfig:
    """Return a copy with every interpolation replaced; UsageError names a missing value."""
    register_resolvers()
    try:
        plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        key = error.full_key or with_cause(error)
        raise UsageError(f"Expected a value, got none ({key}). Add {key}=VALUE.") from error
    except OmegaConfBaseException as error:
        raise UsageError(f"Expected a config that resolves: {with_cause(error)}.") from error
    resolved = OmegaConf.create(with_names_of_today(plain))
    assert isinstance(resolved, DictConfig)
    return resolved


def build(node: Any, **parts: Any) -> Any:  # noqa: ANN401 - any object may stand in a config
    """Instantiate a config node and the nodes in it, with plain dicts and lists.

    Args:
        node: A node with ``_target_``, or a container of such nodes.
        parts: Extra keyword arguments of the outermost object.

    Raises:
        UsageError: A value is missing (``???``) or the object rejects its arguments.
        MrcontrastError: An object found a fault in the data; its message is kept.
    """
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    register_resolvers()
    try:
        return instantiate(node, _convert_="all", **parts)
    except (InstantiationException, OmegaConfBaseException) as error:
        if isinstance(cause := error.__cause__, MrcontrastError):
            raise cause from None
        raise UsageError(unbuilt(error)) from error


def unbuilt(error: Exception) -> str:
    """Return the message of a config that does not build, with class and key where they are known.

    >>> unbuilt(ValueError("Error in call to target 'a.B': TypeError('odd') full_key: split"))
    "Expected arguments that a.B takes, got: TypeError('odd') (split)."
    """
    known = FAULT.match(str(error))
    if known is None:
        return f"Expected a config that builds: {with_cause(error)}."
    missing, target, fault, key = known.groups(default="")
    where = f" ({key})" if key else ""
    if missing:
        return f"Expected a class that exists, got {missing}{where}. Correct _target_."
    return f"Expected arguments that {target} takes, got: {one_line(ValueError(fault))}{where}."


def build_stage(node: DictConfig) -> Any:  # noqa: ANN401 - a LightningModule, not imported here
    """Build a stage from its node without ``checkpoint``, which the trainer reads."""
    return build({key: value for key, value in node.items() if key != "checkpoint"})


def module_name(target: str) -> str:
    """Return the module of a ``_target_``, without its packages: "autoencoder"."""
    return target.split(".")[-2] if "." in target else target


def register_resolvers() -> None:
    """Register the functions of the configs, such as ``${product:3,4}``."""
    OmegaConf.register_new_resolver("product", lambda *numbers: prod(numbers), replace=True)
    OmegaConf.register_new_resolver("share", share, replace=True)
    OmegaConf.register_new_resolver("beside", beside, replace=True)


def beside(target: str, name: str) -> str:
    """Return the dotted name of another class in the module of a ``_target_``."""
    return f"{target.rpartition('.')[0]}.{name}"


def share(whole: int, parts: int) -> int:
    """Return each process's part of a batch; raise UsageError if it does not divide."""
    if not isinstance(parts, int) or parts < 1 or whole % parts:
        raise UsageError(
            f"Expected a number of devices that divides a batch of {whole}, got {parts}. "
            "Set trainer.devices to one that does, or data.batch_size by hand."
        )
    return whole // parts
