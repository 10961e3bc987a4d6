"""Configs of earlier versions, with the names of classes and the arguments of today."""

from collections.abc import Callable, Mapping
from typing import Any

Node = dict[str, Any]
CONDITIONS = "mrcontrast.latent.conditions"
SIGNALS = "mrcontrast.latent.signals"
REGRESSOR = "mrcontrast.networks.regressor.Regressor"
STAGES = "mrcontrast.stages."
SIZES = ("spatial_dims", "in_channels", "out_channels")  # which the stages set now
ROLES = {"source": ["flair"], "target": "t1w"}
OPTIONAL: Node = {"optional": []}
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

    Earlier versions key transforms by contrast.
    """
    data = ROLES | OPTIONAL | {"optional_dropout": 0.2} | data
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


def with_arguments_of_today(node: Node) -> Node:
    """Return a node, whose ``_target_`` has the name of today, with the arguments of today."""
    target = str(node.get("_target_"))
    if target.startswith(STAGES) and not target.startswith(f"{STAGES}optimisation"):
        return stage_of_today(node)
    if target == REGRESSOR:
        known = {"source": ["flair"]} | OPTIONAL | node
        return known | {"network": partial_of(node.get("network"))}
    package, _, name = target.rpartition(".")
    return CONDITION[name](node) if package == CONDITIONS and name in CONDITION else node


def stage_of_today(node: Node) -> Node:
    """Return a stage with its roles, whose networks are partials without sizes."""
    changed = ROLES | OPTIONAL | node
    for name in ("denoiser", *(["discriminator"] if "regressor" in node else [])):
        if name in node:
            changed[name] = partial_of(node[name])
    if isinstance(control := node.get("controlnet"), dict) and "_partial_" not in control:
        encoder = node["denoiser"]
        own = {key: value for key, value in control.items() if encoder.get(key) != value}
        for name in ("in", "num"):
            own.pop(f"conditioning_embedding_{name}_channels", None)
        changed["controlnet"] = partial_of(own)
    return changed


def partial_of(network: Any) -> Any:  # noqa: ANN401 - any plain value
    """Return the node of a network as a partial without the sizes that its owner sets."""
    if not isinstance(network, dict) or "_target_" not in network or "_partial_" in network:
        return network
    return {k: value for k, value in network.items() if k not in SIZES} | {"_partial_": True}


def condition_of(placement: str, *names: str) -> Callable[[Node], Node]:
    """Return the change of a condition into its signals at a placement."""

    def change(node: Node) -> Node:
        signals = {name: signal_of(name, node) for name in names}
        embedder = {"embedder_channels": [64]} if names == ("latent",) else {}
        if "embedder_channels" in node:
            embedder = {"embedder_channels": node["embedder_channels"]}
        return {
            "_target_": f"{CONDITIONS}.Condition",
            "signals": signals,
            "placement": {"_target_": f"{CONDITIONS}.{placement}"},
            **embedder,
        }

    return change


def signal_of(name: str, node: Mapping[str, Any]) -> Node:
    """Return the node of a signal of an earlier condition."""
    if name == "regression":
        detail = node.get("keep_detail", True)
        own = {"regressor": node["regressor"], "keep_detail": detail}
        return {"_target_": f"{SIGNALS}.Regression", **own}
    if name == "anchor" and "regressor" in node:
        return {"_target_": f"{SIGNALS}.RegressionAnchor", "regressor": node["regressor"]}
    classes = {"pixels": "Pixels", "latent": "Latent", "anchor": "SourceAnchor"}
    return {"_target_": f"{SIGNALS}.{classes[name]}"}


CONDITION = {
    "PixelCondition": condition_of("AtImageSize", "pixels"),
    "RegressedPixels": condition_of("AtImageSize", "pixels", "regression"),
    "FoldedCondition": condition_of("AtLatentSize", "pixels"),
    "LatentCondition": condition_of("AtLatentSize", "latent"),
    "FlairAnchor": condition_of("AtLatentSize", "anchor", "pixels"),
    "RegressionAnchor": condition_of("AtLatentSize", "anchor", "pixels"),
}
