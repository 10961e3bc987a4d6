"""Names of classes in configs of earlier versions, and where they are today."""

from collections.abc import Mapping
from typing import Any

DATA = "mrcontrast.data.datamodule.ContrastDataModule"
# Modules and classes of earlier versions, by what replaced them.
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
}


def today(target: str) -> str:
    """Return the name that a class has today.

    >>> today("mrcontrast.latents.AutoencoderCodec")
    'mrcontrast.latent.codec.AutoencoderCodec'
    """
    parts = target.split(".")
    for count in range(len(parts), 1, -1):
        if (place := MOVED.get(".".join(parts[:count]))) is not None:
            return ".".join([place, *parts[count:]])
    return target


def with_names_of_today(node: Any) -> Any:  # noqa: ANN401 - any plain value
    """Return a copy of plain values in which each ``_target_`` has the name of today.

    A data module of earlier versions makes T1w from FLAIR.
    """
    if isinstance(node, list):
        return [with_names_of_today(value) for value in node]
    if not isinstance(node, dict):
        return node
    changed = {key: with_names_of_today(value) for key, value in node.items()}
    if isinstance(target := changed.get("_target_"), str):
        changed["_target_"] = today(target)
    return with_roles(changed) if changed.get("_target_") == DATA else changed


def with_roles(data: dict[str, Any]) -> dict[str, Any]:
    """Return a data module's values with a source and a target, by which augmentation is keyed.

    >>> node = {"augmentation": [{"keys": ["flair", "t1w", "brain_mask"]}]}
    >>> with_roles(node)["augmentation"]
    [{'keys': ['source', 'target', 'brain_mask']}]
    """
    data = {"source": ["flair"], "target": "t1w"} | data
    sources = data["source"] if isinstance(data["source"], list) else []
    roles = {str(name): "source" for name in sources} | {str(data["target"]): "target"}
    if isinstance(transforms := data.get("augmentation"), list):
        data["augmentation"] = [with_keys(entry, roles) for entry in transforms]
    return data


def with_keys(transform: Any, roles: Mapping[str, str]) -> Any:  # noqa: ANN401 - any plain value
    """Return a transform whose keys are roles in the place of contrasts."""
    if not isinstance(transform, dict) or not isinstance(transform.get("keys"), list):
        return transform
    return transform | {"keys": [roles.get(str(key), key) for key in transform["keys"]]}
