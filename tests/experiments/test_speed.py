"""The speed experiment: the original's sizes, and every measurement on small networks."""

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from tests.conftest import SPACING_MM, make_prepared

from mrcontrast.config.build import build, resolve

FOLDER = Path(__file__).parents[2] / "experiments" / "speed"
SPLITS = ("train", "train", "test")


@pytest.fixture(scope="module", autouse=True)
def on_path() -> Iterator[None]:
    """Put the folder on the path, as `python experiments/speed/run.py` does."""
    sys.path.insert(0, str(FOLDER))
    yield
    sys.path.remove(str(FOLDER))


def load(name: str) -> ModuleType:
    return importlib.import_module(name)


@pytest.fixture(params=["2d", "3d"])
def small(request: pytest.FixtureRequest, tmp_path: Path):
    """A setting small enough for a test, and a folder with prepared data."""
    dims = int(request.param[0])
    make_prepared(tmp_path / "data" / request.param, SPLITS)
    return tmp_path, load("architectures").Setting(
        spatial_dims=dims,
        spacing_mm=SPACING_MM,
        shape=(32, 40, 24),
        min_brain_fraction=0.3,
        batch_size=2 if dims == 2 else 1,
        autoencoder=(4, 8),
        denoiser=(8, 8),
        embedder=(4, 8),
        res_blocks=1,
        norm_groups=4,
        text_width=64,
        text_layers=1,
    )


def test_the_networks_are_as_large_as_the_originals() -> None:
    architectures = load("architectures")
    what = architectures.SETTINGS["2d"]
    overrides = ["data.root=somewhere", "out=nowhere"]
    stage = resolve(architectures.train_config(what, "controlnet", overrides)).stage
    with torch.device("meta"):
        parts = {
            "autoencoder": build(stage.codec.autoencoder),
            "denoiser": architectures.denoiser_of(stage),
            "controlnet": architectures.controlnet_of(stage),
            "text": load("text_encoder").TextEncoder(what.text_width, what.text_layers),
        }
    millions = {
        name: round(sum(value.numel() for value in part.parameters()) / 1e6, 1)
        for name, part in parts.items()
    }
    assert millions == {"autoencoder": 34.0, "denoiser": 263.6, "controlnet": 117.9, "text": 340.4}


@pytest.mark.parametrize("stage", ["latent_diffusion", "controlnet"])
def test_steps_are_compared(small, stage: str) -> None:
    out, what = small
    found = load("measure").measure_step(what, stage, out, turns=2)
    assert found["turns"] == 2
    assert found["ratio"] == pytest.approx(found["original_s"] / found["ours_s"])
    assert found["ratio_without_text_gradients"] > 0
    assert found["ratio_span"][0] <= found["ratio_span"][1]
    assert found["flops"] > 1e6
    assert sum(found["operators"].values()) == pytest.approx(1)
    assert found["operators"]["convolution"] > 0


def test_sampling_is_compared(small) -> None:
    out, what = small
    found = load("measure").measure_sampling(what, out, turns=1)
    assert found["original_calls"] == 400
    parts = found["original_step_s"] * 200 + found["original_rest_s"]
    assert found["original_s"] == pytest.approx(parts)
    assert found["ratio"] > 1


def test_the_original_takes_a_step_and_decodes(small) -> None:
    out, what = small
    original, ours = load("original"), load("ours")
    config = ours.stage_config(what, "controlnet", out)
    data = ours.build_data(config)
    flair = ours.images_of(data, 1, torch.device("cpu"))["source"]
    control = original.OriginalControl(config, what).eval()
    torch.nn.init.normal_(control.denoiser.out[-1].conv.weight, std=0.1)
    noise = torch.randn(1, 3, *(size // 2 for size in flair.shape[2:]))
    stepped = control.one_step(flair, noise)()
    assert stepped.shape == noise.shape
    assert not torch.equal(stepped, noise)
    assert control.decode(noise).shape == flair.shape


def test_results_are_written_and_judged(small) -> None:
    out, what = small
    outcome, measure = load("outcome"), load("measure")
    found = {
        stage: measure.measure_step(what, stage, out, 1) | {"peak_share": 0.5}
        for stage in measure.ORIGINALS
    }
    found["sampling"] = measure.measure_sampling(what, out, 1)
    found["peaks"] = {"matmul": 2e11, "conv2d": 3e11}
    found["memory_gib"] = {stage: {"original": 2.0, "ours": 1.0} for stage in measure.ORIGINALS}
    results = outcome.headline({what.name: found})
    keys = {"stage2_step_ratio", "stage3_step_ratio", "sampling_ratio", "peak_share"}
    assert set(results) == keys | {"device", "versions"}
    json.dumps(results | {what.name: found})
    outcome.draw({what.name: found}, out / "speed.png")
    assert (out / "speed.png").stat().st_size > 10_000
    lines = outcome.judge(results | {"stage2_step_ratio": 2.49, "stage3_step_ratio": 2.0})
    assert lines[0].endswith("MISSED")
    assert lines[1].endswith("held")


def test_operators_are_grouped() -> None:
    group_of = load("efficiency").group_of
    assert group_of("aten::mkldnn_convolution") == "convolution"
    assert group_of("aten::addmm") == "matmul"
    assert group_of("aten::silu_") == "elementwise"
    assert group_of("Optimizer.step#AdamW.step") == "optimiser"
    assert group_of("aten::native_group_norm") == "normalisation"


@pytest.mark.parametrize(("dims", "spacing_mm", "axes"), [(2, 2.0, 2), (3, 1.0, 3)])
def test_sizes_cover_the_field_of_view(dims: int, spacing_mm: float, axes: int) -> None:
    sizes = load("sizes")
    shape = sizes.image_shape(dims, spacing_mm)
    assert len(shape) == axes
    assert all(size % sizes.CELL == 0 for size in shape)
    assert all(a * spacing_mm >= b for a, b in zip(shape, sizes.FIELD_MM, strict=False))


@pytest.mark.parametrize("stage", ["autoencoder", "controlnet"])
def test_a_line_of_the_sizes_is_measured(stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = load("sizes")
    monkeypatch.setattr(sizes, "FIELD_MM", (32, 32, 32))
    found = sizes.take_steps(stage, 3, 2.0, 32)
    assert found["seconds"] > 0
    assert 0.1 < found["peak_gib"] < 8


def test_guidance_doubles_calls_and_changes_nothing() -> None:
    from tests.stages.conftest import make_batch, make_stage

    stage = make_stage("controlnet", 2).eval()
    torch.nn.init.normal_(stage.denoiser.out[-1].conv.weight, std=0.1)
    batch = make_batch((20, 24))
    noise = torch.randn(2, *stage.noise_shape((20, 24)))
    calls: list[int] = []
    stage.denoiser.register_forward_hook(lambda *_: calls.append(1))
    plain = stage(batch, noise)
    once = len(calls)
    with load("curve").guided(stage):
        torch.testing.assert_close(stage(batch, noise), plain)
    assert len(calls) == 3 * once
    assert torch.equal(stage(batch, noise), plain)


def test_the_verdict_holds_both_bars() -> None:
    curve = load("curve")

    def entry(name: str, psnr: float, ssim: float, seconds: float) -> dict:
        scores = {"psnr_one": psnr, "psnr_mean": psnr, "ssim_one": ssim, "ssim_mean": ssim}
        return {"sampler": name, "seconds": seconds, **scores}

    reference = entry(curve.REFERENCE, 20.0, 0.9, 50.0), entry(curve.GUIDED, 20.0, 0.9, 100.0)
    for own, held in (
        ((19.95, 0.899, 4.0), True),
        ((19.8, 0.9, 4.0), False),
        ((20.0, 0.897, 4.0), False),
        ((20.0, 0.9, 6.0), False),
    ):
        judged = curve.verdict([entry(curve.OWN, *own), *reference])
        assert judged["held"] is held


@pytest.mark.slow
def test_the_network_and_the_mathematics_are_a_few_calls_away(tmp_path: Path) -> None:
    frames = load("frames")
    stacks = frames.trainings(tmp_path)
    assert set(stacks) == {"latent_diffusion", "concat_diffusion", "controlnet"}
    for stage, stack in stacks.items():
        names = [each.partition(":")[2] for each in stack]
        assert names[-1] == "add_noise"
        assert len(names) - names.index("training_step") <= 4, stage
    assert 8 < len(frames.translation(tmp_path)) <= 15
