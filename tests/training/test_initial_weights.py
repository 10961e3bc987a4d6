"""What a training starts from: an earlier run of the same stage."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from omegaconf import DictConfig, OmegaConf

from mrcontrast.commands.train import train
from mrcontrast.config.build import build_stage, resolve
from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.runs.folder import RunFolder
from mrcontrast.training.initial_weights import (
    find_start,
    load_start,
    origin_of,
    take_over,
    warn_of_other_data,
    warn_of_patches,
)
from mrcontrast.training.lineage import inherit
from toy.runs import toy_config, toy_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the chain a -> diffusion_a -> controlnet_a, and b -> diffusion_b beside it."""
    root = tmp_path_factory.mktemp("runs")
    for name, seed in (("a", 0), ("b", 1)):
        toy_run(root, name, "stage=toy_autoencoder", f"seed={seed}")
        parent = f"autoencoder={root}/runs/{name}"
        toy_run(root, f"diffusion_{name}", "stage=toy_diffusion", parent, f"seed={seed}")
    toy_run(root, "controlnet_a", "stage=toy_controlnet", f"diffusion={root}/runs/diffusion_a")
    return root / "runs"


def begin(root: Path, *overrides: str) -> tuple[torch.nn.Module, dict]:
    """Build a stage and give it its first weights, as `train` does; return also its origin."""
    config, parents = inherit(toy_config(root, *overrides))
    config = resolve(config)
    stage, start = build_stage(config.stage), find_start(config)
    take_over(stage, parents, start)
    return stage, origin_of(parents, start)


def start_of(root: Path, start: Path, *overrides: str) -> RunFolder | None:
    config: DictConfig = toy_config(root, "stage=toy_autoencoder", f"start_from={start}")
    config.merge_with_dotlist(list(overrides))
    return find_start(config)


def test_without_a_start_the_seed_decides(runs: Path, tmp_path: Path) -> None:
    assert find_start(toy_config(tmp_path, "stage=toy_autoencoder")) is None
    _, origin = begin(tmp_path, "stage=toy_autoencoder")
    assert origin == {"parents": {}, "start_from": None}


def test_trained_parts_come_from_the_start_and_nothing_else(runs: Path, tmp_path: Path) -> None:
    stage, origin = begin(tmp_path, "stage=toy_autoencoder", f"start_from={runs}/a")
    theirs = RunFolder(runs / "a").read_weights()
    assert torch.equal(stage.autoencoder.weight, theirs["autoencoder.weight"])
    assert stage.latent_mean.item() == 0  # a buffer of the stage, which `finish` measures anew
    sha256 = RunFolder(runs / "a").verify()
    assert origin["start_from"] == {"path": str(runs / "a"), "weights_sha256": sha256}


def test_frozen_parts_keep_coming_from_the_parents(runs: Path, tmp_path: Path) -> None:
    parent = f"autoencoder={runs}/b"
    stage, _ = begin(tmp_path, "stage=toy_diffusion", parent, f"start_from={runs}/diffusion_a")
    codec = RunFolder(runs / "b").read_weights()
    denoiser = RunFolder(runs / "diffusion_a").read_weights()
    assert torch.equal(stage.codec.autoencoder.weight, codec["autoencoder.weight"])
    assert torch.equal(stage.codec.mean, codec["latent_mean"])
    assert torch.equal(stage.denoiser.weight, denoiser["denoiser.weight"])


def test_a_control_copies_its_base_unless_it_has_a_start(runs: Path, tmp_path: Path) -> None:
    overrides = ["stage=toy_controlnet", f"diffusion={runs}/diffusion_b"]
    base = RunFolder(runs / "diffusion_b").read_weights()["denoiser.weight"]
    fresh, _ = begin(tmp_path, *overrides)
    assert torch.equal(fresh.controlnet.weight, base)
    tuned, _ = begin(tmp_path, *overrides, f"start_from={runs}/controlnet_a")
    theirs = RunFolder(runs / "controlnet_a").read_weights()
    assert torch.equal(tuned.controlnet.weight, theirs["controlnet.weight"])
    assert not torch.equal(tuned.controlnet.weight, base)
    assert torch.equal(tuned.denoiser.weight, base)


def test_what_is_frozen_inside_a_trained_part_is_left_alone(tmp_path: Path) -> None:
    network = torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.BatchNorm1d(1))
    stage = torch.nn.ModuleDict({"denoiser": network})
    theirs = {name: torch.full_like(value, 7) for name, value in stage.state_dict().items()}
    network[0].requires_grad_(False)
    before = network[0].weight.item()
    run = SimpleNamespace(read_weights=lambda: theirs, weights_path=tmp_path)
    load_start(stage, run, ["diffusion"])  # type: ignore[arg-type]
    assert network[0].weight.item() == before
    assert network[1].weight.item() == network[1].running_mean.item() == 7
    load_start(stage, run)  # type: ignore[arg-type]
    assert network[0].weight.item() == 7


def test_a_fine_tuned_run_says_so_and_learns_on(runs: Path, tmp_path: Path) -> None:
    still = ["stage=toy_autoencoder", "stage.lr=0.0", f"start_from={runs}/a", "seed=7"]
    tuned = toy_run(tmp_path, "tuned", *still)
    theirs = RunFolder(runs / "a").read_weights()["autoencoder.weight"]
    torch.testing.assert_close(tuned.read_weights()["autoencoder.weight"], theirs)
    assert tuned.provenance["start_from"]["weights_sha256"] == RunFolder(runs / "a").verify()
    assert tuned.config.start_from == f"{runs}/a"
    moved = toy_run(tmp_path, "moved", *still, "stage.lr=0.1")
    assert not torch.equal(moved.read_weights()["autoencoder.weight"], theirs)


def test_weights_that_have_seen_another_grid_are_told_of(
    runs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    start = RunFolder(shutil.copytree(runs / "a", tmp_path / "start"))
    named = {"normaliser_flair": {"name": "x"}, "normaliser_t1w": {"name": "x"}}
    start.write_provenance(start.provenance | {"data": {"spacing_mm": 2.0} | named})
    warn_of_other_data(start, {"spacing_mm": 2.0} | named)
    warn_of_other_data(start, None)
    assert not caplog.messages
    warn_of_other_data(start, {"spacing_mm": 3.0} | named)
    assert len(caplog.messages) == 1
    assert "have seen spacing_mm 2.0, this data set has 3.0" in caplog.text


@pytest.mark.parametrize(
    ("seen", "ours", "warned"),
    [([8, 8, 8], None, True), ([8, 8, 8], [8, 8, 8], False), (None, None, False)],
)
def test_parents_that_have_seen_patches_only_are_told_of(
    runs: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    seen: list[int] | None,
    ours: list[int] | None,
    warned: bool,
) -> None:
    parent = RunFolder(shutil.copytree(runs / "a", tmp_path / "patches"))
    config = parent.config
    for patch_size, path in ((seen, parent.config_path), (ours, tmp_path / "ours.yaml")):
        OmegaConf.update(config, "data.items.patch_size", patch_size, force_add=True)
        OmegaConf.save(config, path)
    warn_of_patches({"autoencoder": parent}, config)
    assert ("start_from" in caplog.text) == warned
    assert ("patches of [8, 8, 8] only" in caplog.text) == warned


def test_another_start_under_the_same_path_ends_a_resume(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "a", tmp_path / "start")
    overrides = ["stage=toy_autoencoder", f"start_from={tmp_path}/start"]
    tuned = toy_run(tmp_path, "tuned", *overrides)
    tuned.weights_path.unlink()  # as if it had been stopped
    shutil.rmtree(tmp_path / "start")
    shutil.copytree(runs / "b", tmp_path / "start")
    with pytest.raises(MrcontrastError, match="Expected the start_from that training began with"):
        train(toy_config(tmp_path, "name=tuned", *overrides))


def test_the_run_to_train_is_not_its_own_start(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "a", tmp_path / "runs" / "a")
    overrides = ["name=a", "stage=toy_autoencoder", f"start_from={tmp_path}/runs/a"]
    with pytest.raises(UsageError, match=r"another run than out.*Add name=NAME"):
        train(toy_config(tmp_path, *overrides, "overwrite=true"))
    assert RunFolder(tmp_path / "runs" / "a").verify()


def test_runs_that_do_not_fit_are_refused(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(MrcontrastError, match="stage autoencoder, got latent_diffusion"):
        start_of(tmp_path, runs / "diffusion_a")
    with pytest.raises(MrcontrastError, match="spatial_dims 3, got 2"):
        start_of(tmp_path, runs / "a", "spatial_dims=3")
    with pytest.raises(MrcontrastError, match="Expected a run folder"):
        start_of(tmp_path, tmp_path / "nowhere")
    changed = RunFolder(tmp_path / "changed")
    shutil.copytree(runs / "a", changed.path)
    shutil.copy(runs / "b" / "weights.safetensors", changed.weights_path)
    with pytest.raises(MrcontrastError, match="Expected weights with SHA-256"):
        start_of(tmp_path, changed.path)
    changed.weights_path.unlink()
    with pytest.raises(MrcontrastError, match="Expected a finished run"):
        start_of(tmp_path, changed.path)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("autoencoder.bias", torch.zeros(2), r"autoencoder\.bias of shape \(1,\), got \(2,\)"),
        ("autoencoder.bias", None, r"autoencoder\.bias of shape \(1,\), got none"),
        ("autoencoder.gain", torch.zeros(1), r"autoencoder\.gain of shape none, got \(1,\)"),
    ],
)
def test_the_first_tensor_that_differs_is_named(
    runs: Path, tmp_path: Path, name: str, value: torch.Tensor | None, message: str
) -> None:
    start = RunFolder(tmp_path / "start")
    shutil.copytree(runs / "a", start.path)
    weights = start.read_weights() | {name: value}
    kept = {key: tensor for key, tensor in weights.items() if tensor is not None}
    start.write_provenance(start.provenance | {"weights_sha256": start.write_weights(kept)})
    with pytest.raises(MrcontrastError, match=message):
        begin(tmp_path, "stage=toy_autoencoder", f"start_from={start.path}")


def test_a_stage_that_trains_nothing_has_no_start(runs: Path, tmp_path: Path) -> None:
    toy_run(tmp_path, "table", "stage=toy_lookup")
    with pytest.raises(UsageError, match="weights to train, got ToyTable"):
        begin(tmp_path, "stage=toy_lookup", f"start_from={tmp_path}/runs/table", "name=again")
