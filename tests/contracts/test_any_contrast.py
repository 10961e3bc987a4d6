"""By config alone, on phantoms: any contrasts to any contrast, through the whole chain."""

import json
from pathlib import Path

import numpy as np
import pytest

from mrcontrast.cli import main
from mrcontrast.data.contrasts import ending_of, title_of
from mrcontrast.data.manifest import Manifest, Record
from mrcontrast.runs.folder import RunFolder
from mrcontrast.storage.volume import read_volume

PREPARE = (
    "recipe=phantom",
    "contrasts=[flair,t1w,t2w]",
    "recipe.sources.0.num_subjects=3",
    "recipe.sources.0.config.spacing_mm=4.0",
    "recipe.sources.0.config.anatomy_spacing_mm=4.0",
    "recipe.grid.spacing_mm=4.0",
    "recipe.grid.shape=[40,56,48]",
    "recipe.split={_target_: mrcontrast.data.splits.RandomSplit,train: 1,val: 1,test: 1,seed: 0}",
)
NETWORK = ("channels=[4,8]", "attention_levels=[false,false]", "norm_num_groups=4")
STAGES = {
    "autoencoder": tuple(f"stage.autoencoder.{key}" for key in (*NETWORK, "latent_channels=2")),
    "latent_diffusion": (
        *(f"stage.denoiser.{key}" for key in (*NETWORK, "num_head_channels=[0,4]")),
        "stage.codec.latent_multiple=2",
        "autoencoder={runs}/autoencoder",
    ),
    "controlnet": (
        "stage.condition.embedder_channels=[4,8]",
        "diffusion={runs}/latent_diffusion",
    ),
}
TRAIN = (
    *("trainer=cpu", "trainer.max_steps=2", "trainer.val_check_interval=2", "logger=none"),
    *("data=prepared", "data.batch_size=1", "data.items.max_val_items=1"),
    *("data.items.min_brain_fraction=0.3", "data/augmentation=none"),
)
CHAINS = [(["t1w"], "flair"), (["flair", "t2w"], "t1w"), (["flair"], "t2w")]


def run(*words: object) -> None:
    assert main([str(word) for word in words]) == 0


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("phantoms") / "data"
    run("prepare", *PREPARE, f"out={root}")
    return root


@pytest.fixture(scope="module")
def record(phantoms: Path) -> Record:
    (record,) = Manifest.read(phantoms).split("test")
    return record


def train(root: Path, runs: Path, dims: int, source: list[str], target: str) -> None:
    roles = (f"data.source=[{','.join(source)}]", f"data.target={target}")
    shape = ["data.items.patch_size=[16,24,16]"] if dims == 3 else []
    common = (
        *TRAIN,
        *shape,
        f"data.root={root}",
        f"spatial_dims={dims}",
        f"paths.cache={runs}/cache",
    )
    for stage, settings in STAGES.items():
        own = [text.format(runs=runs) for text in settings]
        run("train", f"stage={stage}", f"out={runs / stage}", *common, *roles, *own)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize(("source", "target"), CHAINS)
def test_the_chain_makes_it_by_config_alone(
    phantoms: Path, record: Record, tmp_path: Path, dims: int, source: list[str], target: str
) -> None:
    train(phantoms, tmp_path, dims, source, target)
    model, made, results = tmp_path / "controlnet", tmp_path / "made", tmp_path / "results"
    data = RunFolder(model).provenance["data"]
    assert (data["source"], data["target"]) == (source, target)

    run("translate", phantoms, made, "--model", model, "--steps", 1)
    name = f"{record.name}_{ending_of(target, 'synth')}"
    assert {path.name for path in made.iterdir()} == {f"{name}.nii.gz", f"{name}.json"}
    facts = json.loads((made / f"{name}.json").read_text())
    assert (facts["SourceContrasts"], facts["TargetContrast"]) == (source, target)
    assert facts["Sources"] == [str(record.images[key]) for key in source] + [
        str(record.brain_mask)
    ]
    assert title_of(target) in facts["IntensityUnits"]

    evaluate = ("evaluate", "--predictions", f"ours={made}", "--references", phantoms)
    run(*evaluate, "--out", results, "--features", "none")
    summary = json.loads((results / "summary.json").read_text())
    assert (summary["inputs"]["target"], summary["inputs"]["sources"]) == (target, source)
    assert np.isfinite(summary["methods"]["ours"]["brain"]["psnr"]["mean"])
    assert ("dice_gm" in summary["metrics"]) == (target == "t1w")
    reference = read_volume(record.images[target]).data
    error = np.abs(read_volume(made / f"{name}.nii.gz").data - reference)
    brain = read_volume(record.brain_mask).data > 0
    assert summary["methods"]["ours"]["brain"]["mae"]["mean"] == pytest.approx(
        error[brain].mean(), abs=1e-4
    )

    run("report", results)
    page = (results / "report.html").read_text()
    assert f"<title>Synthetic {title_of(target)}: evaluation</title>" in page
    for each in source:
        assert f'id="pane-source-{each}"' in page


def test_files_of_several_sources_are_named(
    phantoms: Path, record: Record, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(phantoms, tmp_path, 2, ["flair", "t2w"], "t1w")
    files = {name: record.images[name] for name in ("flair", "t2w")}
    model = ("--model", tmp_path / "controlnet", "--steps", 1, "--mask", record.brain_mask)
    named = [f"{name}={path}" for name, path in reversed(files.items())]
    run("translate", tmp_path / "t1w.nii.gz", "--source", *named, *model)
    facts = json.loads((tmp_path / "t1w.json").read_text())
    assert facts["Sources"][:2] == [str(path) for path in files.values()]
    assert set(facts["Normaliser"]) == set(files)
    assert len(facts["SourceSHA256"]) == 2

    folder = phantoms / record.subject / "anat"
    run("translate", folder, tmp_path / "bids", *model[:4])
    assert {path.name for path in (tmp_path / "bids").glob("*.nii.gz")} == {
        f"{record.name}_desc-synth_T1w.nii.gz"
    }
    wrong = {
        ("x.nii.gz", "--source", f"flair={files['flair']}"): "--source flair=FILE t2w=FILE",
        (files["flair"], "x.nii.gz"): "--source flair=FILE t2w=FILE",
        ("x.nii.gz", "--source", files["flair"]): "Expected NAME=FILE",
        ("x.nii.gz",): "Expected IN or --source",
    }
    for words, expected in wrong.items():
        assert main(["translate", *map(str, (*words, *model[:2]))]) == 2
        assert expected in capsys.readouterr().err
