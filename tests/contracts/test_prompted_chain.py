"""Tags and an optional source through the whole chain, from the manifest to the sidecar."""

import json
from pathlib import Path

import numpy as np
import pytest

from mrcontrast.cli import main
from mrcontrast.data.manifest import Manifest
from mrcontrast.storage.volume import read_volume

from .test_any_contrast import PREPARE, STAGES, TRAIN, run

ROLES = ("data.source=[flair,t2w]", "data.optional=[t2w]", "stage/prompt=tags")
SPLIT = "{_target_: mrcontrast.data.splits.RandomSplit,train: 2,val: 1,test: 1,seed: 0}"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("phantoms") / "data"
    own = ("recipe.sources.0.num_subjects=4", f"recipe.split={SPLIT}")
    run("prepare", *PREPARE, *own, f"out={root}")
    return root


@pytest.fixture(scope="module", params=[2, 3])
def runs(data: Path, tmp_path_factory: pytest.TempPathFactory, request) -> Path:
    """Folder of an autoencoder, a denoiser and a ControlNet, woken so that they are not 0."""
    runs, dims = tmp_path_factory.mktemp("runs"), request.param
    shape = ["data.items.patch_size=[16,24,16]"] if dims == 3 else []
    common = (*TRAIN, *shape, f"data.root={data}", f"spatial_dims={dims}")
    for stage, settings in STAGES.items():
        roles = ROLES if stage != "autoencoder" else ROLES[:2]
        own = [text.format(runs=runs) for text in settings]
        fast = ["stage.optimisation.optimizer.lr=0.05", f"paths.cache={runs}/cache"]
        run("train", f"stage={stage}", f"out={runs / stage}", *common, *roles, *own, *fast)
    return runs


def test_words_weights_and_absent_sources_reach_the_voxels(
    data: Path, runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = runs / "controlnet"
    (record,) = Manifest.read(data).split("test")
    first = Manifest.read(data).split("train")[0]
    told = f"t1w_ti_ms={first.known['t1w_ti_ms']:.6f}"

    def made(*options: object) -> tuple[np.ndarray, dict]:
        out = tmp_path / str(len(list(tmp_path.iterdir())))
        run("translate", data, out, "--model", model, "--steps", 1, *options)
        (path,) = out.glob("*.nii.gz")
        return read_volume(path).data, json.loads(next(out.glob("*.json")).read_text())

    nothing, facts = made("--known-tags", "none")
    assert "Prompt" not in facts
    assert "MissingSources" not in facts
    zero, _ = made("--known-tags", "none", "--prompt", f"{told}:0, 3 tesla:0")
    assert np.array_equal(zero, nothing)
    said, facts = made("--known-tags", "none", "--prompt", told)
    assert facts["Prompt"].startswith("t1w_ti_ms=")
    assert not np.array_equal(said, nothing)
    alone, facts = made("--known-tags", "none", "--without", "t2w")
    assert facts["MissingSources"] == ["t2w"]
    assert not np.array_equal(alone, nothing)
    away, facts = made("--known-tags", "all", "--negative", told, "--guidance", 1.5)
    assert (facts["Guidance"], facts["NegativePrompt"]) == (1.5, facts["NegativePrompt"])
    assert not np.array_equal(away, made("--known-tags", "all")[0])
    assert record.known["t1w_ti_ms"] > 0

    capsys.readouterr()
    assert main(["info", str(model)]) == 0
    text = capsys.readouterr().out
    assert "source   t2w, in [0, 1] by percentile-0.5-99.5, may be absent" in text
    assert "tag      t1w_ti_ms: 9" in text
    wrong = ("translate", str(data), str(tmp_path / "no"), "--model", str(model), "--prompt")
    assert main([*wrong, "t1w_tii_ms=900"]) == 2
    assert "Did you mean t1w_ti_ms?" in capsys.readouterr().err
    assert main([*wrong, "t1w_ti_ms=2000"]) == 2
    assert "as in training, got 2000" in capsys.readouterr().err
    assert not (tmp_path / "no").exists()
