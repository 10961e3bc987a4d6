"""Names of classes in configs of earlier versions, and their present names."""

from typing import Any

from mrcontrast.config.earlier_stages import with_arguments_of_today

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
    "mrcontrast.transforms.normalise": "mrcontrast.transforms.normalise",
}


def today(target: str) -> str:
    """Return the present name of a class.

    >>> today("mrcontrast.latents.AutoencoderCodec")
    'mrcontrast.latent.codec.AutoencoderCodec'
    """
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
    return with_arguments_of_today(changed)
