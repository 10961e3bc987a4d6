"""Settings to measure: the 2D networks of Warvito 2023 and a 3D counterpart.

The 2D sizes come from configs/experiment/warvito2023.
"""

from dataclasses import dataclass

from omegaconf import DictConfig, OmegaConf, open_dict
from torch import nn

from mrcontrast.config.build import build, compose, config_dir
from mrcontrast.networks.control import encoder_settings

WARMUP_STEPS = 1  # run first and not counted


def original(stage: str) -> DictConfig:
    """Return the stage node of one of the original's YAML files, unresolved."""
    path = config_dir() / "experiment" / "warvito2023" / f"{stage}.yaml"
    return OmegaConf.load(path).stage  # type: ignore[union-attr]


CODEC, DENOISER = original("autoencoder").autoencoder, original("latent_diffusion").denoiser
CONTROL = original("controlnet")


@dataclass(frozen=True)
class Setting:
    """Networks, data and batch of one measurement.

    Attributes:
        spatial_dims: 2 or 3.
        spacing_mm: Voxel size of the phantoms.
        shape: Grid of the prepared volumes; slices have its first two axes.
        min_brain_fraction: 2D: slices with less brain are not encoded.
        batch_size: Items per step; the original's 512 do not fit on two cores.
        autoencoder: Channels per level.
        denoiser: Channels per level; attention in all but the first.
        embedder: Channels of the ControlNet's embedder of FLAIR pixels.
        res_blocks: Residual blocks per level, in every network.
        norm_groups: Groups of every group norm.
        text_width: Width of the text encoder.
        text_layers: Layers of the text encoder.
    """

    spatial_dims: int
    spacing_mm: float
    shape: tuple[int, int, int]
    min_brain_fraction: float
    batch_size: int
    autoencoder: tuple[int, ...]
    denoiser: tuple[int, ...]
    embedder: tuple[int, ...]
    res_blocks: int = DENOISER.num_res_blocks
    norm_groups: int = DENOISER.norm_num_groups
    text_width: int = DENOISER.cross_attention_dim
    text_layers: int = 23

    @property
    def name(self) -> str:
        """Return "2d" or "3d"."""
        return f"{self.spatial_dims}d"


SETTINGS = {
    "2d": Setting(
        spatial_dims=2,
        spacing_mm=1.0,
        shape=(160, 224, 184),
        min_brain_fraction=0.533,
        batch_size=8,
        autoencoder=tuple(CODEC.channels),
        denoiser=tuple(DENOISER.channels),
        embedder=tuple(CONTROL.condition.embedder_channels),
    ),
    "3d": Setting(
        spatial_dims=3,
        spacing_mm=3.0,
        shape=(64, 96, 64),
        min_brain_fraction=0.0,
        batch_size=1,
        autoencoder=(32, 64, 64, 128),
        denoiser=(128, 192, 256),
        embedder=(16, 32, 64, 128),
    ),
}


def train_config(what: Setting, stage: str, overrides: list[str]) -> DictConfig:
    """Compose the config of ``mrcontrast train stage=...`` with the setting's networks.

    Args:
        what: Networks, data and batch.
        stage: "latent_diffusion" (stage 2) or "controlnet" (stage 3).
        overrides: Further Hydra overrides.
    """
    dims = f"spatial_dims={what.spatial_dims}"
    first = compose("train", ["stage=autoencoder", dims, *autoencoder_overrides(what)])
    common = [dims, f"data.batch_size={what.batch_size}", *data_overrides(what), *overrides]
    network = denoiser_overrides(what)
    second = compose("train", ["stage=latent_diffusion", *common, *network])
    with open_dict(second):
        second.stage.codec.autoencoder = first.stage.autoencoder
        second.stage.codec.contrasts = first.stage.contrasts
    if stage == "latent_diffusion":
        return second
    embedder = f"stage.condition.embedder_channels={list(what.embedder)}"
    third = compose("train", ["stage=controlnet", embedder, *common])
    resolved = OmegaConf.to_container(second.stage, resolve=True)
    with open_dict(third):
        third.stage.codec = resolved["codec"]
        third.stage.denoiser = resolved["denoiser"]
        for part in ("schedule", "target"):
            third.stage.process[part] = resolved["process"][part]
    return third


def autoencoder_overrides(what: Setting) -> list[str]:
    """Return overrides for the autoencoder's size: no attention, three latent channels."""
    settings = {
        "channels": list(what.autoencoder),
        "attention_levels": [False] * len(what.autoencoder),
        "latent_channels": 3,
        "num_res_blocks": what.res_blocks,
        "norm_num_groups": what.norm_groups,
    }
    return [f"stage.autoencoder.{name}={value}" for name, value in settings.items()]


def denoiser_overrides(what: Setting) -> list[str]:
    """Return overrides for the denoiser's size, attention and cross-attention to the text."""
    settings = {
        "channels": list(what.denoiser),
        "attention_levels": [False, *[True] * (len(what.denoiser) - 1)],
        "num_head_channels": [0, *what.denoiser[1:]],
        "num_res_blocks": what.res_blocks,
        "norm_num_groups": what.norm_groups,
    }
    text = {"with_conditioning": True, "cross_attention_dim": what.text_width}
    return [
        *(f"stage.denoiser.{name}={value}" for name, value in settings.items()),
        *(f"+stage.denoiser.{name}={value}" for name, value in text.items()),
    ]


def data_overrides(what: Setting) -> list[str]:
    """Return overrides that make the data module serve plain slices or whole volumes."""
    least = f"data.items.min_brain_fraction={what.min_brain_fraction}"
    return ["data=prepared", least, "data.augmentation=null", "stage.store.variants=1"]


def denoiser_of(stage: DictConfig) -> nn.Module:
    """Build the denoiser of a stage as MONAI has it, with random weights."""
    channels = stage.codec.autoencoder.latent_channels
    sizes = {"spatial_dims": stage.codec.autoencoder.spatial_dims, "in_channels": channels}
    return build(stage.denoiser)(**sizes, out_channels=channels)


def controlnet_of(stage: DictConfig) -> nn.Module:
    """Build the ControlNet of a stage on one channel of pixels, as MONAI has it."""
    return build(stage.controlnet)(
        **encoder_settings(build(stage.denoiser)),
        spatial_dims=stage.codec.autoencoder.spatial_dims,
        in_channels=stage.codec.autoencoder.latent_channels,
        conditioning_embedding_in_channels=1,
        conditioning_embedding_num_channels=list(stage.condition.embedder_channels),
    )
