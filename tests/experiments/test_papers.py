"""The reproductions: networks of the published sizes, configs that build and take a step."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from torch._subclasses.fake_tensor import FakeTensorMode

from mrcontrast.commands.estimate import study_costs, training_configs
from mrcontrast.config.build import build, build_stage, compose, config_dir
from mrcontrast.training.cost import build_without_values

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def warvito() -> dict:
    return training_configs(compose("study", ["study=warvito2023"]).study)


def millions(network) -> float:
    return round(sum(value.numel() for value in network.parameters()) / 1e6, 1)


def test_the_stages_of_warvito_have_their_published_sizes(warvito):
    first, second, third = (
        warvito[name].stage for name in ("autoencoder", "latent_diffusion", "controlnet")
    )
    with torch.device("meta"):
        assert millions(build(first.autoencoder)) == 34.0
        assert millions(build(first.discriminator)) == 11.0
    with FakeTensorMode(allow_non_fake_inputs=True):
        built = build_without_values(third)
        assert millions(built.denoiser) == 263.6
        assert millions(built.controlnet) == 117.9
    assert second.codec.autoencoder == first.autoencoder
    assert third.denoiser == second.denoiser


def test_the_numbers_of_warvito_reach_the_stages(warvito):
    first, second, third = (
        warvito[name] for name in ("autoencoder", "latent_diffusion", "controlnet")
    )
    assert [config.data.batch_size for config in (first, second, third)] == [256, 512, 384]
    assert [config.trainer.max_epochs for config in (first, second, third)] == [100, 150, 150]
    assert {config.trainer.precision for config in (first, second, third)} == {"16-mixed"}
    assert first.stage.kl_weight == pytest.approx(1e-8 * 3 * 20 * 28)
    for config in (second, third):
        assert config.stage.process.schedule == second.stage.process.schedule
        assert config.stage.process.schedule.beta_end == 0.0205
        assert config.stage.process.target._target_.endswith(".V")
        assert config.stage.process.sampler.num_steps == 200
        assert config.stage.codec.scale == 0.3
        assert config.stage.prompt.width == 1024
        assert config.stage.store is None
    assert third.stage.prompt.guidance == 7.0


def test_the_mended_chain_differs_only_where_it_is_mended(warvito):
    fixed = training_configs(compose("study", ["study=warvito2023_fixed"]).study)
    for name in ("autoencoder", "latent_diffusion", "controlnet"):
        ours, theirs = fixed[name].stage, warvito[name].stage
        for part in ("autoencoder", "denoiser", "controlnet", "condition"):
            assert ours.get(part) == theirs.get(part), (name, part)
        assert fixed[name].data == warvito[name].data
    assert fixed["controlnet"].stage.prompt.guidance == 1.0
    assert fixed["controlnet"].stage.codec.scale is None
    assert fixed["controlnet"].callbacks.best.monitor == "val/psnr"
    assert warvito["controlnet"].callbacks.best.monitor == "step"


def test_the_networks_of_pinaya_are_those_of_the_released_model():
    stage = training_configs(compose("study", ["study=pinaya2022"]).study)["latent_diffusion"].stage
    with FakeTensorMode(allow_non_fake_inputs=True):
        built = build_without_values(stage)
        assert built.codec.latent_shape((160, 224, 160)) == (3, 20, 28, 20)
        z = torch.empty(1, 3, 20, 28, 20)
        assert built.predictor({"source": z})(z, torch.full((1,), 0.5)).shape == z.shape
    assert (built.denoiser.in_channels, built.denoiser.out_channels) == (7, 3)


@pytest.mark.parametrize(
    "name", ["warvito2023", pytest.param("pinaya2022", marks=pytest.mark.slow)]
)
def test_a_step_at_full_size_is_counted_without_taking_it(name):
    costs = {cost.name: cost for cost in study_costs(compose("study", [f"study={name}"]).study)}
    for cost in costs.values():
        assert cost.memory > 4 * 4 * cost.trained  # weights, gradients, two moments
        assert cost.flops > 1e9
        assert cost.images > 1e5
    if name == "warvito2023":
        # Measured forward: encode 105.9 and decode 185.4 GFLOP, times 3 with the way back, and the
        # discriminator; the denoiser 44.3, and the encoder before it without a way back.
        assert costs["autoencoder"].flops > 3 * (105.9 + 185.4) * 1e9
        assert costs["latent_diffusion"].flops == pytest.approx((3 * 44.3 + 105.9) * 1e9, rel=0.05)
        assert costs["autoencoder"].images == 100 * 175_000


def test_speed_takes_its_numbers_from_the_same_yaml(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "experiments" / "speed"))
    architectures = importlib.import_module("architectures")
    stage = OmegaConf.load(config_dir() / "experiment/warvito2023/latent_diffusion.yaml").stage
    assert list(architectures.SETTINGS["2d"].denoiser) == list(stage.denoiser.channels)


def test_the_score_of_a_set_stands_under_the_table_of_the_paper(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(ROOT / "experiments" / "pinaya2022"))
    score = importlib.import_module("score")
    sys.modules.pop("score")
    assert score.table(None).row_count == len(score.PAPER) + 2
    rng = np.random.default_rng(0)
    files = []
    for number in range(3):
        files.append(tmp_path / f"{number}.nii.gz")
        image = rng.random((24, 28, 20), dtype=np.float32)
        score.write_volume(files[-1], score.Volume(image, np.eye(4)))
    found = score.diversity(files, pairs=2, seed=0)
    assert found["pairs"] == 2
    assert abs(found["4_g_r_ssim"]) < 0.1  # noise shares no edges
    same = score.diversity([files[0], files[0]], pairs=1, seed=0)
    assert same["ms_ssim"] == pytest.approx(1)
    assert same["4_g_r_ssim"] == pytest.approx(1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "shape", "gib"), [("warvito2023", (32, 32), 5), ("pinaya2022", (32, 32, 32), 8)]
)
def test_a_step_is_taken_at_full_size_on_tiny_images(name, shape, gib):
    if free_gib() < gib:
        pytest.skip(f"needs {gib} GiB of free memory")
    torch.manual_seed(0)
    for training, config in training_configs(compose("study", [f"study={name}"]).study).items():
        if "optimisation" not in config.stage:
            continue
        stage = build_stage(config.stage).train()
        getattr(stage, "initialise", lambda: None)()
        if training == "controlnet":  # a trained denoiser is not silent
            torch.nn.init.normal_(stage.denoiser.out[-1].conv.weight, std=0.01)
        weights = [value for value in stage.parameters() if value.requires_grad]
        optimizer = torch.optim.SGD(weights, lr=1e-3)  # theirs would keep two copies of each weight
        before = [value.sum().item() for value in weights]
        batch = {key: torch.rand(1, 1, *shape) for key in ("source", "target", "brain_mask")}
        if config.stage.get("store") is not None:
            latent = stage.codec.latent_shape(shape)
            batch |= {
                "t1w_mean": torch.randn(1, *latent),
                "t1w_sigma": torch.full((1, *latent), 0.1),
            }
        for loss in stage.each_loss(batch) if hasattr(stage, "each_loss") else [stage.loss(batch)]:
            assert torch.isfinite(loss), training
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        assert before != [value.sum().item() for value in weights], training
        del stage, weights, optimizer


def free_gib() -> float:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable")) / 2**20
