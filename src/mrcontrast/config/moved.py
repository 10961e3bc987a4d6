"""Names of classes in configs of earlier versions, and where they are today."""

from typing import Any

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
    """Return a copy of plain values in which each ``_target_`` has the name of today."""
    if isinstance(node, list):
        return [with_names_of_today(value) for value in node]
    if not isinstance(node, dict):
        return node
    changed = {key: with_names_of_today(value) for key, value in node.items()}
    if isinstance(target := changed.get("_target_"), str):
        changed["_target_"] = today(target)
    return changed
