"""Runs that are shared: smaller, whole, and still known to each other."""

from pathlib import Path

import pytest
import torch

from mrcontrast.commands.export import SMALL, export, halved, shared_start
from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.runs import released
from mrcontrast.runs.folder import RunFolder
from mrcontrast.runs.released import check_runs_exist, released_models
from mrcontrast.storage.tensor_file import stored
from mrcontrast.tracking.loading import load_stage
from mrcontrast.tracking.references import open_run
from mrcontrast.training.lineage import inherit
from toy.runs import toy_config, toy_run


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("chain")
    first = toy_run(root, "autoencoder", "stage=toy_autoencoder")
    second = toy_run(root, "latent_diffusion", "stage=toy_diffusion", f"autoencoder={first.path}")
    third = toy_run(root, "controlnet", "stage=toy_controlnet", f"diffusion={second.path}")
    return [first.path, second.path, third.path]


@pytest.fixture(scope="module")
def model(chain: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("models") / "toy-2d"
    export(chain, out)
    return out


def test_parents_are_known_by_their_new_hashes(model: Path, chain: list[Path]) -> None:
    runs = {name: RunFolder(model / name) for name in ("autoencoder", "latent_diffusion")}
    hashes = {name: run.verify() for name, run in runs.items()}
    told = RunFolder(model / "controlnet").provenance
    assert told["parents"] == {
        "autoencoder": hashes["autoencoder"],
        "diffusion": hashes["latent_diffusion"],
    }
    assert told["exported_from"]["weights_sha256"] == RunFolder(chain[2]).verify()


def test_no_folder_of_this_machine_is_told(model: Path, chain: list[Path]) -> None:
    for path in model.rglob("*"):
        if path.suffix in (".yaml", ".json"):
            assert str(chain[0].parent) not in path.read_text()


def test_an_exported_stage_loads_and_is_the_same_to_half_precision(
    model: Path, chain: list[Path]
) -> None:
    ours, theirs = load_stage(model / "controlnet"), load_stage(chain[2])
    for name, value in theirs.state_dict().items():
        assert ours.state_dict()[name].dtype == value.dtype
        assert torch.allclose(ours.state_dict()[name], value, rtol=1e-3, atol=1e-6)


def test_an_exported_run_is_exported_again_with_its_first_origin(
    model: Path, chain: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(released, "MODELS", model.parent)
    monkeypatch.chdir(tmp_path)
    again = export(["toy-2d/autoencoder"], tmp_path / "again")[0]
    assert again.provenance["exported_from"]["weights_sha256"] == RunFolder(chain[0]).verify()
    mode = (again.path / "config.yaml").stat().st_mode
    assert again.weights_path.stat().st_mode == mode


def test_a_folder_that_holds_a_model_is_its_controlnet(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert open_run(model).path == model / "controlnet"
    monkeypatch.setattr(released, "MODELS", model.parent)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy-2d").mkdir()  # by chance of that name, and no run
    assert open_run("toy-2d").path == model / "controlnet"


def test_what_a_parent_holds_is_not_written_again(model: Path, chain: list[Path]) -> None:
    ours = stored(model / "controlnet" / "weights.safetensors")
    theirs = stored(chain[2] / "weights.safetensors")
    large = {name for name, value in theirs.items() if value.numel() > SMALL}
    assert {name for name in large if name.startswith(("codec", "denoiser"))}.isdisjoint(ours)
    assert any(name.startswith("controlnet") for name in ours)


def test_large_tensors_take_half_the_bytes_and_small_ones_keep_theirs() -> None:
    assert halved("kernel", torch.zeros(SMALL + 1)).dtype == torch.float16
    assert halved("latent_std", torch.zeros(1)).dtype == torch.float32
    assert halved("steps", torch.zeros(SMALL + 1, dtype=torch.int64)).dtype == torch.int64
    with pytest.raises(MrcontrastError, match=r"half precision, got 1e\+06 \(kernel\)"):
        halved("kernel", torch.full((SMALL + 1,), 1e6))


def test_what_cannot_be_exported_leaves_nothing(chain: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "model"
    with pytest.raises(MrcontrastError, match="Expected a run folder, got none"):
        export([chain[0], tmp_path / "absent"], out)
    with pytest.raises(UsageError, match="different names"):
        export([chain[0], chain[0]], out)
    assert list(tmp_path.iterdir()) == []
    out.mkdir()
    with pytest.raises(UsageError, match="Expected no folder"):
        export(chain, out)


def test_released_models_go_by_name(
    model: Path, chain: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(released, "MODELS", model.parent)
    monkeypatch.chdir(tmp_path)
    assert released_models() == ["toy-2d"]
    assert open_run("toy-2d").path == model / "controlnet"
    assert open_run("toy-2d/autoencoder").path == model / "autoencoder"
    assert open_run(chain[0]).path == chain[0]
    assert open_run("absent").path == Path("absent")
    config = toy_config(tmp_path, "stage=toy_controlnet", "diffusion=toy-2d/latent_diffusion")
    _, parents = inherit(config)
    assert parents["diffusion"].path == model / "latent_diffusion"


def test_a_start_is_told_by_its_hash_and_its_time(chain: list[Path], tmp_path: Path) -> None:
    tuned = toy_run(tmp_path, "tuned", "stage=toy_autoencoder", f"start_from={chain[0]}")
    (exported,) = export([tuned.path], tmp_path / "model")
    first = RunFolder(chain[0])
    expected = {"weights_sha256": first.verify(), "seconds": first.provenance["seconds"]}
    assert exported.provenance["start_from"] == expected
    (again,) = export([exported.path], tmp_path / "again")
    assert again.provenance["start_from"] == expected


def test_a_start_without_a_place_is_kept() -> None:
    start = {"weights_sha256": "0", "path": None}
    assert shared_start(start) == {"weights_sha256": "0", "seconds": None}


def test_a_path_check_lets_released_models_pass(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(released, "MODELS", model.parent)
    monkeypatch.chdir(tmp_path)
    check_runs_exist({"autoencoder": None, "--model": "toy-2d", "diffusion": "runs:/1"})
    with pytest.raises(UsageError, match=r"got none \(toy-3d\)\. .*Check the path of --model"):
        check_runs_exist({"--model": "toy-3d"})
    run = toy_run(tmp_path, "more", "stage=toy_controlnet", "diffusion=toy-2d/latent_diffusion")
    assert run.provenance["parents"]["diffusion"] == RunFolder(model / "latent_diffusion").verify()
