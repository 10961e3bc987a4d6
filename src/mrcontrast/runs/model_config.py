"""Read the config of a run folder, and check it before objects are built from it."""

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

MOST_BYTES = 200_000  # a config has a few thousand
MOST_BRACKETS = 500  # parsing YAML takes a time quadratic in open brackets
STORE_FOLDER = "outputs/cache/latents"

# All names that the config of a run may have as `_target_`, by package. Add a class only if its
# constructor reads and writes no file and calls nothing that a config chooses; list arguments that
# hold a path in PLACES.
PARTS = frozenset(
    f"{package}.{name}"
    for package, names in {
        "mrcontrast.stages": """
            adversarial_autoencoder.AdversarialAutoencoder autoencoder.Autoencoder
            baselines.IntensityLookup concat_diffusion.ConcatDiffusion
            controlnet.ControlNetDiffusion latent_bridge.LatentBridge
            latent_diffusion.LatentDiffusion pix2pix.Pix2Pix
            residual_diffusion.ResidualDiffusion unet_regression.UNetRegression
        """,
        "mrcontrast": """
            latent.cache.LatentStore latent.codec.AutoencoderCodec
            losses.perceptual.PerceptualLoss
            networks.features.efficientnet_lite.load_efficientnet_lite0
            networks.features.resnet.load_radimagenet networks.prompt.Prompt
            networks.regressor.Regressor networks.tag_prompt.TagPrompt networks.tags.Vocabulary
            stages.optimisation.Optimisation
        """,
        "mrcontrast.latent.conditions": """
            AtImageSize AtLatentSize Condition
        """,
        "mrcontrast.latent.signals": """
            Latent Pixels Regression RegressionAnchor SourceAnchor
        """,
        "mrcontrast.diffusion": """
            process.DiffusionProcess samplers.DDIM samplers.DDPM samplers.DPMSolverPP2M
            samplers.EulerFlow samplers.HeunFlow schedules.CosineBeta schedules.LinearBeta
            schedules.RectifiedFlow schedules.ScaledLinearBeta targets.Data targets.Epsilon
            targets.V targets.Velocity time_sampling.LogitNormalTimes
            time_sampling.UniformTimes
        """,
        "mrcontrast.networks.local": """
            AutoencoderKL ControlNet DiffusionModelUNet DynUNet
        """,
        "monai.networks.nets": """
            AutoencoderKL ControlNet DiffusionModelUNet DynUNet PatchDiscriminator
        """,
        "torch.optim": """
            Adam AdamW
        """,
    }.items()
    for name in names.split()
)

# Arguments that hold a path of the machine that trained, and their value on another machine.
PLACES: dict[str, dict[str, str | None]] = {
    "mrcontrast.latent.cache.LatentStore": {"folder": STORE_FOLDER},
    "mrcontrast.networks.features.efficientnet_lite.load_efficientnet_lite0": {"path": None},
    "mrcontrast.networks.features.resnet.load_radimagenet": {"path": None},
    "mrcontrast.networks.prompt.Prompt": {"path": None},
}
PLAIN_KEYS = {"_target_", "_partial_"}  # other keys of Hydra change how arguments are passed


def read_config(path: Path) -> DictConfig:
    """Read the config of a run: plain values without interpolations; others: MrcontrastError."""
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
        for key, value in walk(plain):
            for text in value if isinstance(value, dict) else [value]:
                if isinstance(text, str) and "${" in text:
                    raise ValueError(f"the interpolation {text}, {key}")
    except (OSError, ValueError, RecursionError, yaml.YAMLError, OmegaConfBaseException) as error:
        raise MrcontrastError(
            f"Expected a config with all values resolved, got: {one_line(error, most=200)} "
            f"({path}). Restore the file."
        ) from error
    return OmegaConf.create(with_names_of_today(plain))


def checked_config(config: DictConfig, path: Path) -> DictConfig:
    """Check the stage of a run's config, and replace the paths of the machine that trained.

    Raises:
        MrcontrastError: The stage is missing, or names a part that is neither in ``PARTS`` nor
            trusted by the user.
    """
    plain: Any = OmegaConf.to_container(config, resolve=False)
    stage = plain.get("stage")
    if not isinstance(stage, dict) or "_target_" not in stage:
        raise MrcontrastError(f"Expected a stage, got none ({path}). Restore the file.")
    for key, node in walk(stage, "stage"):
        if node == "???":
            raise MrcontrastError(f"Expected a value, got none ({path}, {key}). Restore the file.")
        if not isinstance(node, dict):
            continue
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
    """Return the reason not to build a node; "" for a known part."""
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


def walk(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    """Yield all dicts, lists and leaves of a nest of plain values with their dotted keys."""
    yield key, value
    inner = value.items() if isinstance(value, dict) else ()
    for name, each in enumerate(value) if isinstance(value, list) else inner:
        yield from walk(each, f"{key}.{name}".lstrip("."))
