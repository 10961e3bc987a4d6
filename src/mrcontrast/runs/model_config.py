"""The config of a run folder: data from anywhere, checked before an object is built from it."""

from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mrcontrast.config.moved import with_names_of_today
from mrcontrast.config.trust import is_trusted
from mrcontrast.errors import MrcontrastError, one_line

MOST_BYTES = 200_000  # a config has some thousand
MOST_BRACKETS = 500  # the time to parse YAML grows with the square of open ones
STORE_FOLDER = "outputs/cache/latents"

# All that the config of a run may name by `_target_`, by package. A class belongs here only if its
# constructor reads no file, writes none and calls nothing that a config could choose; an argument
# that holds a path stands in PLACES.
PARTS = frozenset(
    f"{package}.{name}"
    for package, names in {
        "mrcontrast.stages": (
            "adversarial_autoencoder.AdversarialAutoencoder",
            "autoencoder.Autoencoder",
            "baselines.IntensityLookup",
            "concat_diffusion.ConcatDiffusion",
            "controlnet.ControlNetDiffusion",
            "latent_bridge.LatentBridge",
            "latent_diffusion.LatentDiffusion",
            "pix2pix.Pix2Pix",
            "residual_diffusion.ResidualDiffusion",
            "unet_regression.UNetRegression",
        ),
        "mrcontrast": (
            "latent.cache.LatentStore",
            "latent.codec.AutoencoderCodec",
            "losses.perceptual.PerceptualLoss",
            "networks.features.efficientnet_lite.load_efficientnet_lite0",
            "networks.features.resnet.load_radimagenet",
            "networks.prompt.Prompt",
            "networks.regressor.Regressor",
            "stages.optimisation.Optimisation",
        ),
        "mrcontrast.latent.conditions": (
            "FlairAnchor",
            "FoldedCondition",
            "LatentCondition",
            "PixelCondition",
            "RegressedPixels",
            "RegressionAnchor",
        ),
        "mrcontrast.diffusion": (
            "process.DiffusionProcess",
            "samplers.DDIM",
            "samplers.DDPM",
            "samplers.DPMSolverPP2M",
            "samplers.EulerFlow",
            "samplers.HeunFlow",
            "schedules.CosineBeta",
            "schedules.LinearBeta",
            "schedules.RectifiedFlow",
            "schedules.ScaledLinearBeta",
            "targets.Data",
            "targets.Epsilon",
            "targets.V",
            "targets.Velocity",
            "time_sampling.LogitNormalTimes",
            "time_sampling.UniformTimes",
        ),
        "mrcontrast.networks.local": (
            "AutoencoderKL",
            "ControlNet",
            "DiffusionModelUNet",
            "DynUNet",
        ),
        "monai.networks.nets": (
            "AutoencoderKL",
            "ControlNet",
            "DiffusionModelUNet",
            "DynUNet",
            "PatchDiscriminator",
        ),
        "torch.optim": ("Adam", "AdamW"),
    }.items()
    for name in names
)

# Arguments that hold a path of the machine that trained, and their value on any other: a stage
# that is built from its run reads its weights alone.
PLACES: dict[str, dict[str, str | None]] = {
    "mrcontrast.latent.cache.LatentStore": {"folder": STORE_FOLDER},
    "mrcontrast.networks.features.efficientnet_lite.load_efficientnet_lite0": {"path": None},
    "mrcontrast.networks.features.resnet.load_radimagenet": {"path": None},
    "mrcontrast.networks.prompt.Prompt": {"path": None},
}
PLAIN_KEYS = {"_target_", "_partial_"}  # the others of Hydra change how arguments are passed


def read_config(path: Path) -> DictConfig:
    """Read the config of a run, plain values without interpolations.

    Raises:
        MrcontrastError: It is no such file; the reason is named.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"more than {MOST_BYTES} bytes")
        text = path.read_text(encoding="utf-8")
        if text.count("[") + text.count("{") > MOST_BRACKETS:
            raise ValueError(f"more than {MOST_BRACKETS} brackets")
        if "*" in text and any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text)):
            raise ValueError("a YAML alias")
        config = OmegaConf.load(StringIO(text))
        if not isinstance(config, DictConfig):
            raise ValueError("a list")
        plain = OmegaConf.to_container(config, resolve=False)
        for key, value in leaves(plain):
            if isinstance(value, str) and "${" in value:
                raise ValueError(f"the interpolation {value}, {key}")
    except (OSError, ValueError, RecursionError, yaml.YAMLError, OmegaConfBaseException) as error:
        raise MrcontrastError(
            f"Expected a config with all values resolved, got: {one_line(error, most=200)} "
            f"({path}). Restore the file."
        ) from error
    return OmegaConf.create(with_names_of_today(plain))


def checked_config(config: DictConfig, path: Path) -> DictConfig:
    """Return a run's config after a check of its stage, the paths of its machine taken out.

    Args:
        config: From ``read_config``.
        path: Its file, for the message.

    Raises:
        MrcontrastError: The stage is missing, or names a part that is neither in ``PARTS`` nor
            trusted by the user.
    """
    plain: Any = OmegaConf.to_container(config, resolve=False)
    stage = plain.get("stage")
    if not isinstance(stage, dict) or "_target_" not in stage:
        raise MrcontrastError(f"Expected a stage, got none ({path}). Restore the file.")
    if gaps := [key for key, value in leaves(stage, "stage") if value == "???"]:
        raise MrcontrastError(f"Expected a value, got none ({path}, {gaps[0]}). Restore the file.")
    for key, node in nodes(stage, "stage"):
        if reason := fault_of(node):
            raise MrcontrastError(
                f"Expected a known part of a model, got {reason} ({path}, {key}). Do not use the "
                "model, or add --trust MODULE if you know that module."
            )
        for name, value in PLACES.get(str(node.get("_target_")), {}).items():
            if name in node:
                node[name] = value
    return OmegaConf.create(plain)


def fault_of(node: dict[Any, Any]) -> str:
    """Return why a node may not be built; "" if it may."""
    special = {key for key in map(str, node) if key.startswith("_") and key.endswith("_")}
    if not special:
        return ""
    target = node.get("_target_")
    if not isinstance(target, str):
        return f"{', '.join(sorted(special))} without the name of a class"
    if target not in PARTS and not is_trusted(target):
        return target[:200]
    if target in PARTS and (unknown := special - PLAIN_KEYS):
        return f"{', '.join(sorted(unknown))} of {target}"
    if not isinstance(node.get("_partial_", False), bool):
        return f"_partial_ {node['_partial_']} of {target}"
    return ""


def nodes(value: Any, key: str) -> Iterator[tuple[str, dict[Any, Any]]]:  # noqa: ANN401
    """Yield all dicts of a nest of plain values, with their dotted keys."""
    if isinstance(value, dict):
        yield key, value
    for name, inner in children(value):
        yield from nodes(inner, f"{key}.{name}")


def leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    """Yield all keys and values of a nest of plain values that are no containers."""
    if not isinstance(value, dict | list):
        yield key, value
    for name, inner in children(value):
        yield key, name
        yield from leaves(inner, f"{key}.{name}".lstrip("."))


def children(value: Any) -> list[tuple[Any, Any]]:  # noqa: ANN401
    """Return the keys and values of a dict or a list; none of anything else."""
    if isinstance(value, dict):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, list) else []
