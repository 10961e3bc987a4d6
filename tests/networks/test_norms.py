"""Which norms a training gets: none over the image, unless an earlier run or a recipe has them."""

import pytest
from omegaconf import DictConfig, OmegaConf

from mrcontrast.config.build import compose, resolve
from mrcontrast.runs.folder import RunFolder
from mrcontrast.tracking.references import open_run
from mrcontrast.training.initial_weights import LOCAL, warn_of_patches
from mrcontrast.training.lineage import PARENTS, fill_gaps, inherit

MONAI = "monai.networks.nets"
FAMILIES = {LOCAL, MONAI}
DIFFUSION = "phantom-2d/latent_diffusion"
TRANSLATIONS = ("concat_diffusion", "residual_diffusion", "latent_bridge")


def families(node: object) -> set[str]:
    """Return the modules of the networks of a stage, discriminators left out."""
    if not isinstance(node, DictConfig):
        return set()
    found = {one for value in node.values() for one in families(value)}
    module, _, name = str(node.get("_target_")).rpartition(".")
    return found | ({module} & FAMILIES if name != "PatchDiscriminator" else set())


def composed(*overrides: str) -> DictConfig:
    return compose("train", ["data.root=none", "name=none", *overrides])


@pytest.mark.parametrize(
    "stage", ["unet_regression", "pix2pix", "autoencoder", "adversarial_autoencoder"]
)
def test_a_first_stage_has_no_norms_over_the_image(stage: str) -> None:
    assert families(resolve(composed(f"stage={stage}")).stage) == {LOCAL}


@pytest.mark.parametrize("stage", ["latent_diffusion", *TRANSLATIONS])
def test_nor_has_a_denoiser(stage: str) -> None:
    assert composed(f"stage={stage}").stage.denoiser._target_.startswith(LOCAL)


@pytest.mark.parametrize("family", [LOCAL, MONAI])
def test_a_controlnet_has_the_norms_of_its_denoiser(family: str) -> None:
    config, theirs = composed("stage=controlnet"), open_run(DIFFUSION).config
    theirs.stage.denoiser._target_ = f"{family}.DiffusionModelUNet"
    fill_gaps(config, theirs, PARENTS["diffusion"], "theirs")
    assert config.stage.controlnet._target_ == f"{family}.ControlNet"


def test_fine_tuning_keeps_the_norms_of_its_start() -> None:
    old = resolve(inherit(composed("stage=unet_regression", "start_from=phantom-2d/unet"))[0])
    theirs = open_run("phantom-2d/unet").config.stage.regressor.network
    assert old.stage.regressor.network._target_ == theirs._target_ == f"{MONAI}.DynUNet"
    assert old.stage.regressor.network.norm_name == theirs.norm_name
    parts = ("stage=latent_diffusion", "autoencoder=phantom-2d/autoencoder")
    assert families(inherit(composed(*parts, f"start_from={DIFFUSION}"))[0].stage) == {MONAI}
    assert families(inherit(composed(*parts))[0].stage) == {MONAI, LOCAL}


@pytest.mark.parametrize(
    "recipe", ["warvito2023", "warvito2023_fixed", "warvito2023_phantom", "pinaya2022"]
)
def test_recipes_of_papers_keep_their_group_norms(recipe: str) -> None:
    first = composed(f"experiment={recipe}/autoencoder")
    second = composed(f"experiment={recipe}/latent_diffusion")
    assert first.stage.autoencoder._target_ == f"{MONAI}.AutoencoderKL"
    assert second.stage.denoiser._target_ == f"{MONAI}.DiffusionModelUNet"


@pytest.mark.parametrize(("family", "warned"), [(MONAI, True), (LOCAL, False)])
def test_patches_matter_to_group_norms_alone(
    family: str, warned: bool, tmp_path, caplog: pytest.LogCaptureFixture
) -> None:
    parent = RunFolder(tmp_path)
    network = {"_target_": f"{family}.AutoencoderKL"}
    seen = {"stage": {"autoencoder": network}, "data": {"items": {"patch_size": [8, 8, 8]}}}
    OmegaConf.save(OmegaConf.create(seen), parent.config_path)
    warn_of_patches({"autoencoder": parent}, composed("stage=autoencoder"))
    assert ("has seen patches" in caplog.text) == warned
