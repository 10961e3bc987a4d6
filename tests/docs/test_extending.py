"""The examples of docs/extending.md are taken from the page and built, trained and run."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from mrcontrast.cli import main
from mrcontrast.commands.train import train
from mrcontrast.config.build import build, compose
from mrcontrast.errors import MrcontrastError
from mrcontrast.runs.folder import RunFolder
from mrcontrast.storage.volume import Volume, read_volume, write_volume

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
FILE = re.compile(r"^`([\w/]+\.(?:py|yaml))`:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """Folder with my_parts/ and my_configs/ as the page has them, on the Python path."""
    folder = tmp_path_factory.mktemp("extending")
    for name, text in FILE.findall(PAGE):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))


def composed(folder: Path, *overrides: str):
    return compose("train", [f"hydra.searchpath=[file://{folder}/my_configs]", *overrides])


def test_the_page_gives_a_class_and_its_yaml_for_each_part(example):
    found = sorted(path.relative_to(example).as_posix() for path in example.rglob("*.*"))
    assert len([name for name in found if name.startswith("my_parts/")]) == 6
    assert len([name for name in found if name.startswith("my_configs/")]) == 5
    commands = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert all("hydra.searchpath" in block or "--metrics" in block for block in commands)


def test_the_schedule_runs_from_data_to_noise_and_v_inverts_it(example):
    process = build(
        composed(
            example,
            "stage=latent_diffusion",
            "stage/process=v_prediction",
            "stage/process/schedule=trigonometric",
        ).stage.process
    )
    t = torch.tensor([0.0, 0.25, 1.0], dtype=torch.float64)
    schedule = process.schedule
    assert type(schedule).__name__ == "Trigonometric"
    torch.testing.assert_close(schedule.alpha(t), torch.cos(t * torch.pi / 2), atol=1e-12, rtol=0)
    torch.testing.assert_close(schedule.alpha(t) ** 2 + schedule.sigma(t) ** 2, torch.ones_like(t))
    z, noise = torch.randn(2, 3, 2, 4, 5, generator=torch.manual_seed(0))
    alpha, sigma = schedule.alpha(t[1:].float()), schedule.sigma(t[1:].float())
    z, noise = z[:2], noise[:2]
    z_t = schedule.add_noise(z, noise, t[1:].float())
    v = process.target.regression_target(z, noise, alpha, sigma)
    torch.testing.assert_close(process.target.to_data(v, z_t, alpha, sigma), z)


def test_the_sampler_keeps_the_spread_of_gaussian_data(example):
    """The exact prediction of N(0.7, 0.5^2): draws have that mean, and a known spread."""
    config = composed(
        example,
        "stage=latent_diffusion",
        "stage/process=data_flow",
        "stage/process/sampler=fresh_noise",
    )
    process = build(config.stage.process)
    assert type(process.sampler).__name__ == "FreshNoise"
    assert process.sampler.num_calls == 4

    def predict(x_t, t):
        alpha, sigma = ((1 - t).reshape(-1, 1), t.reshape(-1, 1))
        gain = 0.25 * alpha / (0.25 * alpha**2 + sigma**2)
        return 0.7 + gain * (x_t - 0.7 * alpha)

    noise = torch.randn(20000, 1, generator=torch.manual_seed(1))
    torch.manual_seed(2)
    drawn = process.sampler.sample(predict, noise, process.schedule, process.target)
    assert drawn.mean().item() == pytest.approx(0.7, abs=0.01)
    assert 0.05 < drawn.std().item() < 0.5  # the estimate is a mean: it never spreads too far


def test_the_signal_joins_the_pixels_and_is_stored(example, prepared_root, tmp_path):
    from tests.stages.conftest import make_batch, make_controlnet

    from mrcontrast.data.datamodule import ContrastDataModule
    from mrcontrast.latent.cache import LatentStore
    from mrcontrast.latent.stored_caches import stored_caches

    node = composed(example, "stage=controlnet", "stage/condition=edges").stage.condition
    node.embedder_channels = [4, 8]
    stage = make_controlnet(2, build(node)).eval()
    batch = make_batch((20, 24))
    edges = stage.prepare(batch)["signal_edges"]
    assert edges.shape == batch["source"].shape
    across = batch["source"].diff(dim=2)[:, :, :, :-1].square()
    along = batch["source"].diff(dim=3)[:, :, :-1].square()
    torch.testing.assert_close(edges[:, :, :-1, :-1], (across + along).sqrt().clamp_max(1))
    assert stage.condition.channels(stage.codec) == 2
    stage.loss(batch).backward()
    data = ContrastDataModule(str(prepared_root), ["flair"], "t1w", spatial_dims=2, batch_size=2)
    plain = data.train_items[0]["source"]
    stage.store = LatentStore(str(tmp_path))
    stage.before_fit(data)
    assert {*data.train_items[0]} == {"target_mean", "target_sigma", "source", "signal_edges"}
    stored, direct = data.train_items[0]["signal_edges"], stage.prepare({"source": plain[None]})
    torch.testing.assert_close(stored, direct["signal_edges"][0])
    assert {cache.state for cache in stored_caches(tmp_path)} == {"finished"}


def test_the_stage_trains_and_translates(example, prepared_root, tmp_path, monkeypatch):
    monkeypatch.delenv("MRCONTRAST_TRUST")
    from mrcontrast.commands.translate import translate_records
    from mrcontrast.data.manifest import Manifest
    from mrcontrast.inference.from_run import from_run

    train(
        composed(
            example,
            "stage=convolution",
            "data=prepared",
            f"data.root={prepared_root}",
            f"paths.outputs={tmp_path}",
            "logger=none",
            "trainer=cpu",
            "trainer.max_steps=2",
            "trainer.val_check_interval=2",
            "data.batch_size=2",
        )
    )
    run = RunFolder(tmp_path / "runs" / "convolution")
    assert run.finished
    assert run.provenance["score"]["monitor"] == "val/psnr"
    assert sorted(path.name for path in run.pictures.iterdir())
    records = Manifest.read(prepared_root).split("test")[:1]
    with pytest.raises(MrcontrastError, match="Expected a known part of a model"):
        from_run(str(run.path))
    assert "MRCONTRAST_TRUST=my_parts,monai.networks.blocks" in PAGE
    monkeypatch.setenv("MRCONTRAST_TRUST", "my_parts,monai.networks.blocks")
    (volume,) = translate_records(records, from_run(str(run.path)), tmp_path / "predictions")
    assert volume.is_file()


def test_the_operator_stands_in_a_recipe_and_refuses(example, tmp_path):
    from mrcontrast.preparation.subject import Subject
    from mrcontrast.storage.volume import Volume

    (entry,) = OmegaConf.create(yaml_after("An entry of the list `operators`"))
    recipe = compose("prepare", ["recipe=phantom", f"out={tmp_path}"]).recipe
    recipe.operators = [entry, *recipe.operators]
    operator = build(recipe).operators[0]
    scan = Volume(np.zeros((4, 5, 6), np.float32), np.diag([1.0, 1.0, 3.0, 1.0]))
    subject = Subject({"flair": scan, "t1w": scan})
    assert operator(subject).measures["flair_slice_mm"] == pytest.approx(3.0)
    with pytest.raises(MrcontrastError, match="at most 2 mm, got 3 mm"):
        type(operator)(most_mm=2.0)(subject)


def yaml_after(words: str) -> str:
    text = PAGE[PAGE.index(words) :]
    block = re.search(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert block is not None
    return block[1]


@pytest.fixture
def evaluate_with_metrics(example, prepared_root, tmp_path, monkeypatch):
    """Return a function that runs `evaluate --metrics` as the page does, with options."""
    monkeypatch.delenv("MRCONTRAST_TRUST", raising=False)
    predictions = tmp_path / "predictions"
    predictions.mkdir()
    for name in ("sub-05", "sub-06"):
        real = read_volume(prepared_root / name / "anat" / f"{name}_T1w.nii.gz")
        darker = Volume(0.5 * real.data + 0.1, real.affine)
        write_volume(predictions / f"{name}_desc-synth_T1w.nii.gz", darker)

    def run(*options: str) -> int:
        words = ["evaluate", "--predictions", f"ours={predictions}", "--features", "none"]
        words += ["--references", str(prepared_root), "--out", str(tmp_path / "evaluation")]
        return main([*words, "--metrics", str(example / "my_configs" / "metrics.yaml"), *options])

    return run


@pytest.mark.parametrize("options", [[], ["--dims", "2"], ["--workers", "1"]])
def test_the_metric_reaches_summary_tables_and_report(
    evaluate_with_metrics, tmp_path, capsys, options
):
    """The images are equal but for their scale, so the correlation is 1 and the PSNR is not."""
    assert evaluate_with_metrics("--trust", "my_parts", "--report", *options) == 0
    assert "Correlation" in capsys.readouterr().out
    out = tmp_path / "evaluation"
    summary = json.loads((out / "summary.json").read_text())
    regions = summary["methods"]["ours"]
    assert list(regions) == ["brain", "image", "lesion", "healthy", "csf", "gm", "wm"]
    for scores in regions.values():
        assert scores["correlation"]["mean"] == pytest.approx(1.0)
        assert scores["psnr"]["mean"] < 40
    assert summary["metrics"]["correlation"]["definition"].startswith("Pearson's correlation")
    assert "Correlation ↑" in (out / "summary.md").read_text()
    assert "correlation" in (out / "subjects.csv").read_text().splitlines()[0].split(",")
    assert "Correlation ↑" in (out / "report.html").read_text()


def test_the_metric_needs_trust(evaluate_with_metrics, tmp_path, capsys):
    assert evaluate_with_metrics() == 2
    message = capsys.readouterr().err
    assert "a module that you trust, got my_parts.correlation.correlation" in message
    assert "correlation.function" in message
    assert not (tmp_path / "evaluation").exists()
