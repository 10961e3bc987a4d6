"""Settings that a training takes from the run that it starts from: networks, losses, data grid."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from mrcontrast.errors import UsageError
from mrcontrast.runs.model_config import walk

OWN = ("source", "target", "optimisation", "discriminator_optimisation", "store", "checkpoint")
PROMPT_SIZES = ("_target_", "vocabulary", "width", "tokens", "frequencies")  # decide its tensors
ABSENT = object()


def typed_keys(config: DictConfig) -> list[str]:
    """Remove the typed overrides from a training's config and return their keys, dotted.

    >>> typed_keys(OmegaConf.create({"overrides": ["stage/process=flow", "+stage.kl_weight=1"]}))
    ['stage.process', 'stage.kl_weight']
    """
    with open_dict(config):
        overrides = config.pop("overrides", None) or []
    return [text.lstrip("+~").partition("=")[0].replace("/", ".") for text in overrides]


def follow(
    config: DictConfig,
    theirs: DictConfig,
    typed: Iterable[str],
    gaps: Iterable[str],
    where: str | Path,
) -> None:
    """Set the stage and the data grid of a config to those of an earlier run, in place.

    Typed keys keep their values, and ``gaps`` (config paths) are left to runs named by their own
    keys. Optimiser, latent store, checkpoint rule and contrasts are not part of a network and stay.
    """
    keys = set(typed)
    with open_dict(config):
        follow_data(config, theirs, keys, where)
        ours: Any = OmegaConf.to_container(config.stage, resolve=False)
        merged: Any = OmegaConf.to_container(theirs.stage)
        roles = ["contrasts"] if keys & {"data.source", "data.target"} else []
        for key in [*(ours.keys() - merged.keys()), *OWN, *roles, *inside(keys, "stage")]:
            put(merged, key, find(ours, key))
        for path in inside(gaps, "stage"):
            if find(ours, path) in (ABSENT, "???") and find(merged, path) is not ABSENT:
                put(merged, path, "???")
        config.stage = merged
    check_prompt(config, theirs, where)


def check_prompt(config: DictConfig, theirs: DictConfig, where: str | Path) -> None:
    """Refuse another prompt than that of the run to start from, whose weights it has."""
    nodes = (OmegaConf.select(each, "stage.prompt") for each in (config, theirs))
    plain: list[Any] = [
        OmegaConf.to_container(node, resolve=True) if node else {} for node in nodes
    ]
    ours, trained = ({key: find(node, key) for key in PROMPT_SIZES} for node in plain)
    if ours != trained:
        found = "the same prompt" if plain[1] else "no prompt"
        raise UsageError(
            f"Expected {found} as the run to start from, got another ({where}). Leave "
            "stage/prompt out."
        )


def follow_data(config: DictConfig, theirs: DictConfig, typed: set[str], where: str | Path) -> None:
    """Set dimensions, neighbouring slices and contrasts to those of an earlier run, in place."""
    if "spatial_dims" not in typed and "spatial_dims" in theirs:
        config.spatial_dims = theirs.spatial_dims
    for role in ("source", "target", "optional"):
        if role in theirs.stage and role in config.data and f"data.{role}" not in typed:
            config.data[role] = theirs.stage[role]
    ours, trained = list(config.data.get("optional", [])), list(theirs.stage.get("optional", []))
    if "data.optional" in typed and ours != trained:
        raise UsageError(
            f"Expected data.optional=[{','.join(trained)}], as in the run to start from, got "
            f"[{','.join(ours)}] ({where}). Leave data.optional out."
        )
    plain = OmegaConf.to_container(theirs)
    found = [value for key, value in walk(plain) if key.endswith("context_slices")]
    if not found or "context_slices" not in config.data:
        return
    if "data.context_slices" in typed and config.data.context_slices != found[0]:
        raise UsageError(
            f"Expected data.context_slices={found[0]}, as in the run to start from, got "
            f"{config.data.context_slices} ({where}). Leave data.context_slices out."
        )
    config.data.context_slices = found[0]


def limit_rates(config: DictConfig, typed: Iterable[str]) -> None:
    """Lower learning rates above ``start_lr`` that are not typed to it, in place."""
    most = config.get("start_lr")
    plain: Any = OmegaConf.to_container(config.stage, resolve=False)
    for path, node in walk(plain, "stage"):
        lr = node.get("lr") if isinstance(node, dict) and path.endswith(".optimizer") else None
        chosen = any(f"{path}.lr.".startswith(f"stage.{key}.") for key in inside(typed, "stage"))
        if most is not None and isinstance(lr, float) and not chosen:
            OmegaConf.update(config, f"{path}.lr", min(lr, most))


def inside(paths: Iterable[str], node: str) -> Iterator[str]:
    """Yield the paths below a node, without its name."""
    return (path.removeprefix(f"{node}.") for path in paths if path.startswith(f"{node}."))


def find(node: Any, path: str) -> Any:  # noqa: ANN401 - a nest of plain values
    """Return the value at a dotted path of a nest, ABSENT if there is none."""
    for key in path.split("."):
        node = node.get(key, ABSENT) if isinstance(node, dict) else ABSENT
    return node


def put(node: dict[str, Any], path: str, value: Any) -> None:  # noqa: ANN401
    """Set the value at a dotted path of a nest; ABSENT removes it."""
    *above, last = path.split(".")
    for key in above:
        if not isinstance(node.get(key), dict):
            node[key] = {}
        node = node[key]
    if value is ABSENT:
        node.pop(last, None)
    else:
        node[last] = value
