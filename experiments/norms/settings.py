"""The trainings: small networks, wide phantoms at 2 mm, the stages of the project."""

from pathlib import Path
from typing import Any

from mrcontrast.config.build import compose, resolve
from mrcontrast.training.lineage import PARENTS, fill_gaps

OPTIONS = (
    "Letters after a variant's +: t adds thin slices to training (0.5 % of brain and more), "
    "f draws the field of view at random, b takes the loss of the U-Net per brain voxel, "
    "s squares it."
)
STAGES = {
    "unet": ["stage=unet_regression", "stage.regressor.network.filters=[16,32,64,128]"],
    "autoencoder": [
        "stage=autoencoder",
        "stage.autoencoder.channels=[16,32]",
        "stage.autoencoder.attention_levels=[false,false]",
        "stage.autoencoder.norm_num_groups=8",
        "stage.autoencoder.latent_channels=3",
        "stage.kl_weight=1e-6",
    ],
    "diffusion": [
        "stage=latent_diffusion",
        "stage/process=data_flow",
        "stage.denoiser.channels=[32,64,64]",
        "stage.denoiser.norm_num_groups=16",
        "stage.store=null",
    ],
    "controlnet": [
        "stage=controlnet",
        "stage/condition=regressed",
        "stage.condition.embedder_channels=[16,32]",
        "stage.process.times.mean=0.5",
        "stage.process.sampler.num_steps=3",
        "stage.start=0.9",
        "stage.store=null",
    ],
}
MONAI = {  # networks with group norms
    "unet": [
        "stage.regressor.network._target_=monai.networks.nets.DynUNet",
        "+stage.regressor.network.norm_name=[group,{num_groups:8}]",
    ],
    "autoencoder": ["stage.autoencoder._target_=monai.networks.nets.AutoencoderKL"],
    "diffusion": ["stage.denoiser._target_=monai.networks.nets.DiffusionModelUNet"],
    "controlnet": [],
}
PARENTS_OF = {
    "diffusion": {"autoencoder": "autoencoder"},
    "controlnet": {"diffusion": "diffusion", "unet": "regression"},
}
PARTS = {  # networks whose norms a variant changes
    "unet": ["regressor.network"],
    "autoencoder": ["autoencoder"],
    "diffusion": ["codec.autoencoder", "denoiser"],
    "controlnet": ["codec.autoencoder", "denoiser", "controlnet", "condition.regressor.network"],
}


def config_of(name: str, variant: str, dims: int, data: Path) -> Any:  # noqa: ANN401 - a node
    """Return the resolved config of a training, with the parts of its parents."""
    norm, _, options = variant.partition("+")
    slices = int(dims == 2 and name in ("unet", "controlnet"))
    items = ["data.batch_size=8", "data.items.min_brain_fraction=0.05"]
    if dims == 3:
        items = ["data.batch_size=2", "data.items.patch_size=[48,48,48]"]
    elif "t" in options:
        items[1] = "data.items.min_brain_fraction=0.005"
    places = ["data=prepared", f"data.root={data}", f"name={name}", "logger=none"]
    axes = [f"spatial_dims={dims}", f"data.context_slices={slices}"]
    norms = [] if norm in ("local", "unattended") else MONAI[name]
    config = compose("train", [*STAGES[name], *norms, *places, *axes, *items])
    for parent, key in PARENTS_OF.get(name, {}).items():
        fill_gaps(config, config_of(parent, variant, dims, data), PARENTS[key], parent)
    return resolve(config)
