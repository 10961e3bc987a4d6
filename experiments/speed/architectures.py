"""What is measured: the 2D networks of the 2023 recipe, and a 3D counterpart of the same kind.

The 2D sizes stand in configs/experiment/warvito2023, those of Warvito 2023.
"""

from dataclasses import dataclass, replace

from omegaconf import DictConfig, OmegaConf, open_dict

from mrcontrast.config.build import compose, config_dir

WARMUP_STEPS = 1  # of every measurement; never counted


def original(stage: str) -> DictConfig:
    """Return what the YAML of a stage of the original sets in it, unresolved."""
    path = config_dir() / "experiment" / "warvito2023" / f"{stage}.yaml"
    return OmegaConf.load(path).stage  # type: ignore[union-attr]


CODEC, DENOISER = original("autoencoder").autoencoder, original("latent_diffusion").denoiser
CONTROL = original("controlnet")


@dataclass(frozen=True)
class Setting:
    """Networks, data and batch of one measurement.

    Attributes:
        spatial_dims: 2 or 3.
        spacing_mm: Of the phantoms.
        shape: Grid of the prepared volumes; slices have its first two axes.
        min_brain_fraction: 2D: slices with less brain are not encoded.
        batch_size: Items a step; the original has 512, too many for two cores.
        autoencoder: Channels of its levels.
        denoiser: Channels of its levels; attention in all but the first.
        res_blocks: Residual blocks a level, in every network.
        embedder: Channels of the ControlNet's embedder of FLAIR pixels.
        norm_groups: Groups of every group norm.
        text_width: Width of the text encoder.
        text_layers: Its layers.
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


def setting(name: str, quick: bool) -> Setting:
    """Return the setting of "2d" or "3d"; a quick one has half the batch."""
    full = SETTINGS[name]
    return replace(full, batch_size=max(full.batch_size // 2, 1)) if quick else full


def train_config(what: Setting, stage: str, overrides: list[str]) -> DictConfig:
    """Compose what ``mrcontrast train stage=...`` would, with every network given.

    Args:
        what: Networks, data and batch.
        stage: "latent_diffusion" (stage 2) or "controlnet" (stage 3).
        overrides: More of them.
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
        for name in ("with_conditioning", "cross_attention_dim"):
            third.stage.controlnet[name] = resolved["denoiser"][name]
    return third


def autoencoder_overrides(what: Setting) -> list[str]:
    """Return what gives the autoencoder its size: no attention, three latent channels."""
    settings = {
        "channels": list(what.autoencoder),
        "attention_levels": [False] * len(what.autoencoder),
        "latent_channels": 3,
        "num_res_blocks": what.res_blocks,
        "norm_num_groups": what.norm_groups,
    }
    return [f"stage.autoencoder.{name}={value}" for name, value in settings.items()]


def denoiser_overrides(what: Setting) -> list[str]:
    """Return what gives the denoiser its size, attention and cross-attention to the text."""
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
    """Return what makes the data module serve plain slices or whole volumes."""
    least = f"data.items.min_brain_fraction={what.min_brain_fraction}"
    return ["data=prepared", least, "data.augmentation=null", "stage.store.variants=1"]
