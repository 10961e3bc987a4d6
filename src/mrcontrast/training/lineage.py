"""Networks and weights that a stage inherits from earlier runs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf, open_dict

from mrcontrast.config.build import module_name
from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.runs.folder import RunFolder
from mrcontrast.tracking.references import open_run
from mrcontrast.training.start_settings import PROMPT_SIZES, find, follow, limit_rates, typed_keys

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Inheritance:
    """Keys and weights that come from one parent, which may be of the stages (modules).

    ``parts`` leads from config paths in the child (``???`` in its YAML) to paths in the parent,
    ``weights`` from modules or buffers in the child to those in the parent. ``optional`` is as
    ``parts``, for a part that the parent may lack, below one that was copied.
    """

    stages: tuple[str, ...]
    parts: Mapping[str, str]
    weights: Mapping[str, str]
    optional: Mapping[str, str] = field(default_factory=dict)


PARENTS = {
    "autoencoder": Inheritance(
        stages=("autoencoder", "adversarial_autoencoder"),
        parts={
            "stage.codec.autoencoder": "stage.autoencoder",
            "stage.codec.contrasts": "stage.contrasts",
        },
        weights={
            "codec.autoencoder": "autoencoder",
            "codec.mean": "latent_mean",
            "codec.std": "latent_std",
            "codec.psnr_db": "psnr_db",
        },
    ),
    "diffusion": Inheritance(
        stages=("latent_diffusion",),
        parts={
            "stage.codec": "stage.codec",
            "stage.denoiser": "stage.denoiser",
            "stage.process": "stage.process",  # whole, or the two that must agree
            "stage.process.schedule": "stage.process.schedule",
            "stage.process.target": "stage.process.target",
        },
        weights={
            "codec": "codec",
            "denoiser": "denoiser",
            "process.schedule": "process.schedule",
            "prompt": "prompt",
        },
    ),
    "regression": Inheritance(
        stages=("unet_regression",),
        parts={
            "stage.condition.signals.regression.regressor": "stage.regressor",
            "stage.condition.signals.anchor.regressor": "stage.regressor",
        },
        weights={"condition.regressor": "regressor"},
        optional={
            "stage.condition.signals.regression.regressor.prompt": "stage.prompt",
            "stage.condition.signals.anchor.regressor.prompt": "stage.prompt",
        },
    ),
}


def inherit(config: DictConfig) -> tuple[DictConfig, dict[str, RunFolder]]:
    """Return a copy of a training's config with the parts of its parents, and the parents.

    A training that starts from a run first takes its settings; see ``start_settings``. Raises
    UsageError where a parent is wanted and not named, or named and not wanted.
    """
    config = config.copy()
    typed = typed_keys(config)
    start = None if config.get("start_from") is None else open_run(config.start_from)
    if start is not None:
        check_run(start, "start_from", [module_name(config.stage._target_)])
        named = [name for name in PARENTS if config.get(name) is not None]
        gaps = [path for name in named for path in PARENTS[name].parts]
        follow(config, start.checked_config(), typed, gaps, start.path)
        limit_rates(config, typed)
    with open_dict(config):
        config.pop("start_lr", None)
    wanted = [n for n, each in PARENTS.items() if any(is_gap(config, path) for path in each.parts)]
    parents, stage = {}, module_name(config.stage._target_)
    for name in wanted:
        if config.get(name) is None:
            raise UsageError(f"Expected {name}=RUN for stage {stage}, got none. Add {name}=RUN.")
        parents[name] = open_run(config[name])
        check_run(parents[name], name, PARENTS[name].stages)
        check_dims(parents[name], name, config)
        check_target(parents[name], name, config)
    for name in PARENTS:
        if config.get(name) is not None and name not in wanted:
            check_spare(config, name, parents)
    for name, parent in parents.items():
        fill_gaps(config, parent.checked_config(), PARENTS[name], parent.config_path)
        if name == "diffusion":
            take_prompt(config, parent)
    return config, parents


def is_gap(config: DictConfig, path: str) -> bool:
    """Return whether a config path is written ``???``; False when it leads nowhere."""
    return find(OmegaConf.to_container(config, resolve=False), path) == "???"


def check_run(run: RunFolder, key: str, stages: Sequence[str]) -> None:
    """Refuse a run that is missing, unfinished, changed or of another stage."""
    run.verify()
    if (found := run.stage_name) not in stages:
        beside = sorted(path.parent for path in run.path.parent.glob("*/provenance.json"))
        fitting = [path for path in beside if RunFolder(path).provenance.get("stage") in stages]
        other = f"{key}={fitting[0]}" if fitting else f"another run with {key}=RUN"
        raise MrcontrastError(
            f"Expected a run of stage {' or '.join(stages)}, got {found} ({run.path}). "
            f"Name {other}."
        )


def check_dims(run: RunFolder, key: str, config: DictConfig) -> None:
    """Refuse a run whose ``spatial_dims`` are not those of the config."""
    ours, theirs = config.get("spatial_dims"), run.config.get("spatial_dims")
    if ours != theirs:
        raise MrcontrastError(
            f"Expected a run with spatial_dims {ours}, got {theirs} ({run.path}). "
            f"Add spatial_dims={theirs} or name another run with {key}=RUN."
        )


def check_target(run: RunFolder, key: str, config: DictConfig) -> None:
    """Refuse a diffusion model or a regression that makes another contrast."""
    ours, theirs = (OmegaConf.select(each, "stage.target") for each in (config, run.config))
    if key != "autoencoder" and None not in (ours, theirs) and ours != theirs:
        raise UsageError(
            f"Expected a {key} that makes {ours}, got one of {theirs} ({run.path}). Set "
            f"data.target={theirs} or name another run with {key}=RUN."
        )


def check_spare(config: DictConfig, name: str, parents: Mapping[str, RunFolder]) -> None:
    """Refuse a named parent that the stage takes nothing from, unless it is a grandparent."""
    for parent in parents.values():
        known = parent.provenance.get("parents", {})
        if name in known:
            if (found := open_run(config[name]).verify()) == known[name]:
                return
            raise MrcontrastError(
                f"Expected the {name} that {parent.path} was trained with (weights "
                f"{known[name][:12]}), got weights {found[:12]} ({config[name]}). Leave {name} out."
            )
    stage = module_name(config.stage._target_)
    raise UsageError(f"Expected no {name} for stage {stage}, got {config[name]}. Leave {name} out.")


def fill_gaps(
    config: DictConfig, theirs: DictConfig, inheritance: Inheritance, where: str | Path
) -> None:
    """Copy parts of a parent's resolved config into the gaps of a config, in place."""
    with open_dict(config):
        for path, source in inheritance.parts.items():
            if not is_gap(config, path):
                continue
            part = OmegaConf.select(theirs, source)
            if part is None:
                raise MrcontrastError(
                    f"Expected a part {source}, got none ({where}). Name another run."
                )
            OmegaConf.update(config, path, part, force_add=True)
            for further, name in inheritance.optional.items():
                found = OmegaConf.select(theirs, name)
                if further.startswith(f"{path}.") and found is not None:
                    OmegaConf.update(config, further, found, force_add=True)


def take_prompt(config: DictConfig, diffusion: RunFolder) -> None:
    """Give a config the prompt of its diffusion model, in place; its other settings stay.

    Raises:
        UsageError: The config has a prompt, and the diffusion model has none.
    """
    ours = OmegaConf.select(config, "stage.prompt")
    theirs = OmegaConf.select(diffusion.checked_config(), "stage.prompt")
    if ours is not None and theirs is None:
        raise UsageError(
            f"Expected no prompt for a diffusion model without one, got {ours._target_} "
            f"({diffusion.path}). Leave stage/prompt out, or train the diffusion model with it."
        )
    if theirs is None:
        return
    with open_dict(config):
        if ours is None or ours._target_ != theirs._target_:
            config.stage.prompt = theirs
        else:
            ours.update({key: theirs[key] for key in PROMPT_SIZES if key in theirs})


def adopt_weights(stage: "nn.Module", parents: Mapping[str, RunFolder]) -> None:
    """Load the parents' weights into a freshly built stage, in place."""
    state = stage.state_dict()
    for name, parent in parents.items():
        theirs = parent.read_weights()
        for ours, source in PARENTS[name].weights.items():
            wanted, found = below(state, ours), below(theirs, source)
            check_same(wanted, found, parent.weights_path)
            for key, value in found.items():
                wanted[key].copy_(value)


def below(state: Mapping[str, "Tensor"], name: str) -> dict[str, "Tensor"]:
    """Return the tensors of a module or the one of a buffer, by their name inside it."""
    inside = [key for key in state if is_below(key, [name])]
    return {key.removeprefix(name).removeprefix("."): state[key] for key in inside}


def is_below(key: str, names: Iterable[str]) -> bool:
    """Return whether a tensor is one of some modules or buffers, or inside one."""
    return any(f"{key}.".startswith(f"{name}.") for name in names)


def check_same(wanted: Mapping[str, "Tensor"], found: Mapping[str, "Tensor"], where: Path) -> None:
    """Refuse two sets of tensors that differ in a name or a shape."""
    for key in sorted(wanted.keys() | found.keys()):
        ours = tuple(wanted[key].shape) if key in wanted else "none"
        theirs = tuple(found[key].shape) if key in found else "none"
        if ours != theirs:
            raise MrcontrastError(
                f"Expected a tensor {key or 'without a name'} of shape {ours}, got {theirs} "
                f"({where}). Name a run of the same network."
            )
