"""What a stage takes over from earlier ones."""

import shutil
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from mrcontrast.config.build import build_stage, resolve
from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.runs.folder import RunFolder
from mrcontrast.tracking.loading import load_stage
from mrcontrast.training.lineage import adopt_weights, inherit
from toy.runs import toy_config, toy_run


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the runs autoencoder, other (another autoencoder), diffusion and controlnet."""
    root = tmp_path_factory.mktemp("chain")
    toy_run(root, "autoencoder", "stage=toy_autoencoder")
    toy_run(root, "other", "stage=toy_autoencoder", "seed=1")
    toy_run(root, "diffusion", "stage=toy_diffusion", f"autoencoder={root}/runs/autoencoder")
    toy_run(root, "controlnet", "stage=toy_controlnet", f"diffusion={root}/runs/diffusion")
    return root


def test_weights_pass_down_the_chain_to_the_last_bit(chain: Path) -> None:
    first = RunFolder(chain / "runs/autoencoder").read_weights()
    second = RunFolder(chain / "runs/diffusion").read_weights()
    last = RunFolder(chain / "runs/controlnet").read_weights()
    for weights in (second, last):
        assert torch.equal(weights["codec.autoencoder.weight"], first["autoencoder.weight"])
        assert torch.equal(weights["codec.mean"], first["latent_mean"])
        assert torch.equal(weights["codec.std"], first["latent_std"])
    assert torch.equal(last["denoiser.weight"], second["denoiser.weight"])
    assert first["latent_mean"].item() != 0


def test_provenance_names_parents_and_grandparents(chain: Path) -> None:
    runs = {name: RunFolder(chain / "runs" / name) for name in ("autoencoder", "diffusion")}
    expected = {name: run.provenance["weights_sha256"] for name, run in runs.items()}
    assert RunFolder(chain / "runs/controlnet").provenance["parents"] == expected


def test_a_run_is_rebuilt_without_its_parents(chain: Path, tmp_path: Path) -> None:
    shutil.copytree(chain / "runs/controlnet", tmp_path / "alone")
    config = RunFolder(tmp_path / "alone").config
    assert config.stage.codec.autoencoder.out_channels == 1
    stage = load_stage(tmp_path / "alone")
    assert stage.codec.autoencoder.weight.shape == (1, 1, 3, 3)


@pytest.mark.parametrize(
    ("stage", "parent"), [("toy_diffusion", "autoencoder"), ("toy_controlnet", "diffusion")]
)
def test_a_missing_parent_is_asked_for(tmp_path: Path, stage: str, parent: str) -> None:
    with pytest.raises(UsageError, match=rf"Add {parent}=RUN\."):
        inherit(toy_config(tmp_path, f"stage={stage}"))


def test_a_run_of_another_stage_is_refused(chain: Path) -> None:
    overrides = ["stage=toy_diffusion", f"autoencoder={chain}/runs/controlnet"]
    with pytest.raises(MrcontrastError, match=r"run of stage autoencoder or .*, got controlnet"):
        inherit(toy_config(chain, *overrides))


def test_another_autoencoder_than_the_diffusions_is_refused(chain: Path) -> None:
    runs = chain / "runs"
    overrides = ["stage=toy_controlnet", f"diffusion={runs}/diffusion"]
    inherit(toy_config(chain, *overrides, f"autoencoder={runs}/autoencoder"))
    with pytest.raises(MrcontrastError, match=r"Expected the autoencoder that .*diffusion was"):
        inherit(toy_config(chain, *overrides, f"autoencoder={runs}/other"))


def test_a_parent_of_other_dimensions_is_refused(chain: Path) -> None:
    overrides = [
        "stage=toy_diffusion",
        f"autoencoder={chain}/runs/autoencoder",
        "spatial_dims=3",
    ]
    with pytest.raises(MrcontrastError, match="spatial_dims 3, got 2"):
        inherit(toy_config(chain, *overrides))


def test_a_parent_that_nothing_is_taken_from_is_refused(chain: Path) -> None:
    overrides = ["stage=toy_autoencoder", f"autoencoder={chain}/runs/autoencoder"]
    with pytest.raises(UsageError, match="Expected no autoencoder for stage autoencoder"):
        inherit(toy_config(chain, *overrides))


def test_a_changed_or_unfinished_parent_is_refused(chain: Path, tmp_path: Path) -> None:
    parent = tmp_path / "autoencoder"
    shutil.copytree(chain / "runs/autoencoder", parent)
    config = toy_config(tmp_path, "stage=toy_diffusion", f"autoencoder={parent}")
    shutil.copy(chain / "runs/other/weights.safetensors", parent)
    with pytest.raises(MrcontrastError, match="Expected weights with SHA-256"):
        inherit(config)
    (parent / "weights.safetensors").unlink()
    with pytest.raises(MrcontrastError, match="Expected a finished run"):
        inherit(config)


@pytest.mark.parametrize("change", ["shape", "missing", "extra"])
def test_weights_are_adopted_strictly(chain: Path, tmp_path: Path, change: str) -> None:
    shutil.copytree(chain / "runs/autoencoder", tmp_path / "autoencoder")
    parent = RunFolder(tmp_path / "autoencoder")
    weights = parent.read_weights()
    changed = {
        "shape": {"autoencoder.bias": torch.zeros(2)},
        "missing": {},
        "extra": {"autoencoder.bias": weights["autoencoder.bias"], "autoencoder.b": torch.ones(1)},
    }[change]
    kept = {key: value for key, value in weights.items() if key != "autoencoder.bias"}
    parent.write_provenance(
        parent.provenance | {"weights_sha256": parent.write_weights(kept | changed)}
    )
    config, parents = inherit(
        toy_config(tmp_path, "stage=toy_diffusion", f"autoencoder={parent.path}")
    )
    stage = build_stage(resolve(config).stage)
    with pytest.raises(MrcontrastError, match="Expected a tensor"):
        adopt_weights(stage, parents)


VOCABULARY = {"source": ["flair", "t2w"], "target": "t1w", "scan": {}, "person": {}}
TAGS = {"_target_": "mrcontrast.networks.tag_prompt.TagPrompt", "width": 8}


@pytest.mark.parametrize("own", [None, TAGS | {"width": 4, "guidance": 3.0}])
def test_the_prompt_is_that_of_the_diffusion_model(
    chain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: dict | None
) -> None:
    diffusion = RunFolder(chain / "runs/diffusion")
    theirs = diffusion.checked_config()
    theirs.stage.prompt = TAGS | {"vocabulary": VOCABULARY}
    monkeypatch.setattr(RunFolder, "checked_config", lambda self: theirs)
    config = toy_config(tmp_path, "stage=toy_controlnet", f"diffusion={diffusion.path}")
    if own is not None:
        OmegaConf.update(config, "stage.prompt", own, force_add=True)
    found, _ = inherit(config)
    assert found.stage.prompt.vocabulary == VOCABULARY
    assert found.stage.prompt.width == 8
    assert found.stage.prompt.get("guidance") == (own or {}).get("guidance")


def test_a_prompt_needs_a_diffusion_model_with_one(chain: Path, tmp_path: Path) -> None:
    config = toy_config(tmp_path, "stage=toy_controlnet", f"diffusion={chain}/runs/diffusion")
    OmegaConf.update(config, "stage.prompt", TAGS, force_add=True)
    with pytest.raises(UsageError, match="Leave stage/prompt out"):
        inherit(config)


def test_a_diffusion_model_of_another_target_is_refused(
    chain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = toy_config(tmp_path, "stage=toy_controlnet", f"diffusion={chain}/runs/diffusion")
    OmegaConf.update(config, "stage.target", "t2w", force_add=True)
    theirs = RunFolder(chain / "runs/diffusion").config
    OmegaConf.update(theirs, "stage.target", "t1w", force_add=True)
    monkeypatch.setattr(RunFolder, "config", theirs)
    with pytest.raises(UsageError, match="a diffusion that makes t2w, got one of t1w"):
        inherit(config)
