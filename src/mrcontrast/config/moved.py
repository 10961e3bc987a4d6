"""Names of classes in configs of earlier versions, and their present names."""

from collections.abc import Mapping
from typing import Any

from mrcontrast.config.earlier_stages import ROLES, with_arguments_of_today

DATA = "mrcontrast.data.datamodule.ContrastDataModule"
# Earlier module or class -> present one.
MOVED: dict[str, str] = {
    "lightning.pytorch.callbacks.ModelCheckpoint": (
        "mrcontrast.training.callbacks.checkpoints.BestCheckpoint"
    ),
    "mrcontrast.callbacks": "mrcontrast.training.callbacks",
    "mrcontrast.conditions": "mrcontrast.latent.conditions",
    "mrcontrast.data.latent_cache": "mrcontrast.latent.cache",
    "mrcontrast.features": "mrcontrast.networks.features",
    "mrcontrast.latents": "mrcontrast.latent.codec",
    "mrcontrast.optimisation": "mrcontrast.stages.optimisation",
    "mrcontrast.regressor": "mrcontrast.networks.regressor",
    "mrcontrast.transforms.whole_volume": "mrcontrast.transforms.normalise",
}


def today(target: str) -> str:
    """Return the present name of a class."""
    parts = target.split(".")
    for count in range(len(parts), 1, -1):
        if (place := MOVED.get(".".join(parts[:count]))) is not None:
            return ".".join([place, *parts[count:]])
    return target


def with_names_of_today(node: Any) -> Any:  # noqa: ANN401 - any plain value
    """Return a copy of plain values with the present name of each ``_target_``."""
    if isinstance(node, list):
        return [with_names_of_today(value) for value in node]
    if not isinstance(node, dict):
        return node
    changed = {key: with_names_of_today(value) for key, value in node.items()}
    if isinstance(target := changed.get("_target_"), str):
        changed["_target_"] = today(target)
    is_data = changed.get("_target_") == DATA
    return with_roles(changed) if is_data else with_arguments_of_today(changed)


def with_roles(data: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a data module with source, target, and transforms keyed by role.

    Earlier versions have one pair of contrasts and key transforms by contrast.
    """
    data = ROLES | data
    sources = data["source"] if isinstance(data["source"], list) else []
    roles = {str(name): "source" for name in sources} | {str(data["target"]): "target"}
    transforms = data.get("augmentation")
    if isinstance(transforms, list):
        data["augmentation"] = [with_keys(entry, roles) for entry in transforms]
    elif isinstance(transforms, dict):
        data["augmentation"] = {key: with_keys(node, roles) for key, node in transforms.items()}
    return data


def with_keys(transform: Any, roles: Mapping[str, str]) -> Any:  # noqa: ANN401 - any plain value
    """Return a transform with roles in place of contrasts."""
    if not isinstance(transform, dict) or not isinstance(transform.get("keys"), list):
        return transform
    return transform | {"keys": [roles.get(str(key), key) for key in transform["keys"]]}
