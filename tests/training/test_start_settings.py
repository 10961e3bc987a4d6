"""Settings that a training takes from the run that it starts from."""

import pytest
import torch
from omegaconf import DictConfig, OmegaConf

from mrcontrast.config.build import build_stage, compose, resolve
from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.tracking.references import open_run
from mrcontrast.training.initial_weights import find_start, origin_of, take_over
from mrcontrast.training.lineage import inherit
from mrcontrast.training.start_settings import OWN

STAGES = ["unet_regression", "controlnet", "latent_diffusion", "autoencoder"]
RUNS = {"unet_regression": "unet"}
LR = "stage.optimisation.optimizer.lr"


def started(stage: str, *overrides: str, model: str = "phantom-2d") -> tuple[DictConfig, dict]:
    """Return the resolved config of a training that starts from a released run, and its parents."""
    start = f"start_from={model}/{RUNS.get(stage, stage)}"
    fixed = [f"stage={stage}", start, "data=prepared", "data.root=none", "name=none"]
    config, parents = inherit(compose("train", [*fixed, *overrides]))
    return resolve(config), parents


@pytest.mark.parametrize("model", ["phantom-2d", "phantom-3d"])
@pytest.mark.parametrize("stage", STAGES)
def test_networks_and_data_grid_are_those_of_the_run(stage: str, model: str) -> None:
    config, parents = started(stage, model=model)
    theirs = open_run(f"{model}/{RUNS.get(stage, stage)}").checked_config()
    assert parents == {}
    assert config.spatial_dims == theirs.spatial_dims == config.data.spatial_dims
    sees_slices = model == "phantom-2d" and stage in ("unet_regression", "controlnet")
    assert config.data.context_slices == int(sees_slices)
    for key in theirs.stage.keys() - set(OWN):
        assert config.stage[key] == theirs.stage[key], key
    assert OmegaConf.select(config, LR) == 1e-4
    assert config.stage.source == config.data.source == ["flair"]
    assert not {"overrides", "start_lr"} & config.keys()


@pytest.mark.parametrize("stage", ["controlnet", "latent_diffusion"])
def test_frozen_parts_come_from_the_run_where_no_parent_is_named(stage: str) -> None:
    config, parents = started(stage)
    built, start = build_stage(config.stage), find_start(config)
    take_over(built, parents, start)
    theirs = start.read_weights()
    ours = built.state_dict()
    assert ours.keys() == theirs.keys()
    assert [
        key for key in ours if not torch.equal(ours[key], theirs[key].to(ours[key].dtype))
    ] == []
    assert origin_of(parents, start)["parents"] == start.provenance["parents"] != {}


def test_a_named_parent_gives_its_part() -> None:
    parts = ["diffusion=phantom-2d-1mm/latent_diffusion", "regression=phantom-2d-1mm/unet"]
    config, parents = started("controlnet", *parts)
    assert set(parents) == {"diffusion", "regression"}
    assert config.stage.process.sampler.num_steps == 3
    built, start = build_stage(config.stage), find_start(config)
    take_over(built, parents, start)
    base = parents["diffusion"].read_weights()
    key = next(key for key in base if key.startswith("denoiser.") and base[key].numel() > 64)
    assert torch.equal(built.state_dict()[key], base[key].float())
    assert not torch.equal(base[key], start.read_weights()[key])
    assert origin_of(parents, start)["parents"]["regression"] == parents["regression"].verify()


def test_what_was_typed_holds() -> None:
    typed = [
        "stage/process/sampler=heun_flow",
        "stage.start=0.5",
        f"{LR}=1e-3",
        "data.source=[t2w]",
    ]
    config, _ = started("controlnet", *typed)
    assert config.stage.process.sampler._target_.endswith("HeunFlow")
    assert config.stage.process.times.mean == 0.5
    assert config.stage.start == 0.5
    assert OmegaConf.select(config, LR) == 1e-3
    assert config.stage.source == ["t2w"]
    assert OmegaConf.select(started("unet_regression", "start_lr=null")[0], LR) == 2e-3
    assert OmegaConf.select(started("unet_regression", "start_lr=1")[0], LR) == 2e-3


def test_what_cannot_fit_is_refused() -> None:
    assert started("unet_regression", "data.context_slices=1")
    with pytest.raises(UsageError, match=r"context_slices=1, as in the run to start from, got 0"):
        started("unet_regression", "data.context_slices=0")
    with pytest.raises(MrcontrastError, match=r"got controlnet .*Name start_from=.*/unet\."):
        inherit(compose("train", ["stage=unet_regression", "start_from=phantom-2d"]))
    with pytest.raises(UsageError, match="Expected no regression"):
        started("latent_diffusion", "regression=phantom-2d/unet")


def test_it_reads_typed_overrides_of_a_config_that_hydra_composes_with_flags(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from mrcontrast.cli import main

    assert main(["train", "stage=autoencoder", "--cfg", "job"]) == 0
    assert "overrides: ${hydra:overrides.task}" in capsys.readouterr().out


@pytest.mark.parametrize("stage", ["unet_regression", "latent_diffusion"])
def test_a_prompt_that_the_run_lacks_is_refused(stage: str) -> None:
    with pytest.raises(UsageError, match=r"no prompt as the run to start from.* Leave stage"):
        started(stage, "stage/prompt=tags")
