"""Steps of a study that lead outside it: earlier runs, and raw files on their own grids."""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from omegaconf import DictConfig, OmegaConf
from scipy import ndimage

from mrcontrast.commands.evaluate import evaluate_originals
from mrcontrast.commands.prepare import prepare
from mrcontrast.config.build import compose
from mrcontrast.data.manifest import Manifest
from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.inference.originals import originals, write_masks
from mrcontrast.runs.folder import RunFolder
from mrcontrast.storage.files import sha256_file
from mrcontrast.storage.folder_lock import alone
from mrcontrast.storage.volume import Volume, read_mask, read_volume, write_labels, write_volume
from mrcontrast.study.command import plan, study
from mrcontrast.study.ledger import Step
from mrcontrast.study.results import evaluate_step
from mrcontrast.transforms.normalise import PercentileNormaliser
from toy.runs import end_of, in_child, toy_run, wait_for, with_mlflow

SHAPE = (30, 36, 28)
AFFINE = np.array([[-2.0, 0, 0, 29], [0, 2, 0, -40], [0, 0, 2, -30], [0, 0, 0, 1]])


def write_raw(root: Path, subject: str, seed: int, mask: bool) -> None:
    """Write a skull-stripped pair in scanner units whose T1w is a rising function of the FLAIR."""
    index = np.indices(SHAPE) - (np.array(SHAPE) - 1).reshape(3, 1, 1, 1) / 2
    brain = (index**2 / np.array([150, 240, 130]).reshape(3, 1, 1, 1)).sum(axis=0) < 1
    noise = np.random.default_rng(seed).standard_normal(SHAPE)
    field = ndimage.gaussian_filter(noise, 4)
    flair = 0.1 + 0.8 * (field - field.min()) / np.ptp(field)
    stem = root / subject / "anat" / subject
    write_volume(f"{stem}_FLAIR.nii.gz", Volume((300 * flair * brain).astype(np.float32), AFFINE))
    t1w = (900 * flair**2 * brain).astype(np.float32)
    write_volume(f"{stem}_T1w.nii.gz", Volume(t1w, AFFINE))
    if mask:
        write_labels(f"{stem}_desc-brain_mask.nii.gz", brain, AFFINE)


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """BIDS tree of two subjects to train and two to test, one of them without a mask."""
    root = tmp_path_factory.mktemp("raw")
    for seed, subject in enumerate(("sub-01", "sub-02", "sub-03", "sub-04")):
        write_raw(root, subject, seed, mask=subject != "sub-04")
    return root


def settings(root: Path, raw: Path | None, **changes: object) -> DictConfig:
    """Return a study of the look-up table alone, as prepared and at full grid."""
    study_node = {
        "name": "tiny",
        "source": None if raw is None else str(raw),
        "prepare": [
            "recipe=bids_pairs",
            f"source={raw}",
            "recipe.grid.spacing_mm=4.0",
            "recipe.grid.shape=[16,20,16]",
            "recipe.split._target_=mrcontrast.data.splits.FixedSplit",
            "~recipe.split.seed",
            "recipe.split.train=[sub-01,sub-02]",
            "recipe.split.val=[]",
            "recipe.split.test=[sub-03,sub-04]",
        ],
        "common": ["trainer=cpu", f"paths.outputs={root}", "data.augmentation=null"],
        "train": {"lookup": {"overrides": ["stage=lookup"]}},
        "predict": {
            "lookup": {"model": "lookup"},
            "lookup_full_grid": {"model": "lookup", "full_grid": True},
        },
        "figure": {"subjects": 1, "methods": ["lookup"]},
        "minutes": {},
    }
    return OmegaConf.create({"out": str(root / "tiny"), "study": study_node | changes})


def steps_of(config: DictConfig) -> dict[str, Step]:
    return {step.name: step for step in plan(config.study, Path(config.out))}


def test_the_chain_reaches_the_grids_that_subjects_were_scanned_on(
    tmp_path: Path, raw: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: sha256_file(path) for path in raw.rglob("*.nii.gz")}
    config = settings(tmp_path, raw)
    with_mlflow(tmp_path)
    assert study(config) == 0
    folder = Path(config.out)
    assert [path.name for path in (folder / "masks_full_grid").glob("[!.]*")] == [
        "sub-04_desc-brain_mask.nii.gz"
    ]
    for subject in ("sub-03", "sub-04"):
        synthetic = folder / "predictions/lookup_full_grid" / f"{subject}_desc-synth_T1w.nii.gz"
        assert read_volume(synthetic).shape == SHAPE
        np.testing.assert_allclose(read_volume(synthetic).affine, AFFINE, atol=1e-5)
    coarse, fine = (
        json.loads((folder / name / "summary.json").read_text())
        for name in ("evaluation", "evaluation_full_grid")
    )
    assert list(coarse["methods"]) == ["lookup"]
    assert list(fine["methods"]) == ["lookup_full_grid"]
    assert fine["reference_normaliser"] == "percentile-0.5-99.5"
    assert fine["subjects"] == ["sub-03", "sub-04"]
    assert fine["inputs"]["splits"] == ["test"]
    assert fine["methods"]["lookup_full_grid"]["brain"]["psnr"]["mean"] > 20
    assert (folder / "evaluation_full_grid" / "subjects.csv").is_file()
    assert {path: sha256_file(path) for path in raw.rglob("*.nii.gz")} == before
    assert "On the subjects' own grids" in capsys.readouterr().out
    assert study(config) == 0
    assert capsys.readouterr().out.count("reused") == len(steps_of(config))


def test_a_prediction_equal_to_the_raw_t1w_as_normalised_has_no_error(
    tmp_path: Path, raw: Path
) -> None:
    overrides = settings(tmp_path, raw).study.prepare
    assert prepare(compose("prepare", [*overrides, f"out={tmp_path / 'data'}"])) == 0
    records, masks = Manifest.read(tmp_path / "data").split("test"), tmp_path / "masks"
    write_masks(records, masks)
    for item in originals(records, masks, ["t1w"]):
        real = read_volume(item.images["t1w"])
        brain = read_mask(item.mask, real, item.images["t1w"])
        scaled = PercentileNormaliser(0.5, 99.5).fit(real.data, brain).apply(real.data) * brain
        name = f"{item.name}_desc-synth_T1w.nii.gz"
        write_volume(tmp_path / "same" / name, Volume(scaled, real.affine))
        write_volume(tmp_path / "far" / name, Volume(np.float32(1) - scaled, real.affine))
    methods = {name: tmp_path / name for name in ("same", "far")}
    summary = evaluate_originals(methods, records, masks, tmp_path / "out")
    errors = {name: summary["methods"][name]["brain"]["mae"]["mean"] for name in methods}
    assert errors["same"] == pytest.approx(0, abs=1e-6)
    assert errors["far"] > 0.2
    assert summary["methods"]["same"]["image"]["mae"]["mean"] == pytest.approx(0, abs=1e-6)


def test_full_grid_steps_stand_where_they_are_wanted_and_nowhere_else(
    tmp_path: Path, raw: Path
) -> None:
    steps = steps_of(settings(tmp_path, raw))
    assert steps["predict-lookup_full_grid"].inputs == ("data", "lookup", "masks_full_grid")
    assert steps["evaluation"].settings == {"methods": ["lookup"]}
    assert steps["evaluation_full_grid"].settings == {"methods": ["lookup_full_grid"]}
    plain = steps_of(settings(tmp_path, raw, predict={"lookup": {"model": "lookup"}}))
    assert not [name for name in plain if "full_grid" in name]
    config = settings(tmp_path, raw, predict={"ours": {"model": "lookup", "full_grid": True}})
    del config.study["figure"]
    assert not {"evaluation", "figures", "report"} & set(steps_of(config))


def test_tags_of_raw_files_are_not_shuffled(tmp_path: Path, raw: Path) -> None:
    node = {"model": "lookup", "full_grid": True, "known_tags": "shuffled"}
    with pytest.raises(UsageError, match=r"a prepared data set .* Change study.predict.ours"):
        steps_of(settings(tmp_path, raw, predict={"ours": node}))


def test_a_second_study_in_a_folder_is_refused(
    tmp_path: Path, raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mrcontrast.storage.folder_lock.PATIENCE_SECONDS", 0.2)
    config = settings(tmp_path, raw)
    steps = Path(config.out) / "steps"

    def hold() -> int:
        with alone(steps, ".study.lock", "study"):
            (tmp_path / "held").touch()
            time.sleep(600)
        return 0

    process = in_child(hold)
    wait_for((tmp_path / "held").exists)
    with pytest.raises(MrcontrastError, match="Expected one study at a time"):
        study(config)
    os.kill(process, signal.SIGKILL)
    end_of(process)
    assert [path.name for path in Path(config.out).iterdir()] == ["steps"]


@pytest.mark.parametrize(
    "override", ["overwrite=true", "out=/x", "run_dir=/x", "name=x", "+data.root=x"]
)
def test_what_a_study_sets_itself_is_refused(tmp_path: Path, raw: Path, override: str) -> None:
    node = {"lookup": {"overrides": ["stage=lookup", override]}}
    with pytest.raises(UsageError, match="in a study, which sets it itself"):
        steps_of(settings(tmp_path, raw, train=node))


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".", "/x", "data", "evaluation"])
def test_a_training_whose_name_leads_elsewhere_is_refused(
    tmp_path: Path, raw: Path, name: str
) -> None:
    node = {"lookup": {"overrides": ["stage=lookup"]}, name: {"overrides": ["stage=lookup"]}}
    with pytest.raises(UsageError, match=r"study\.train"):
        steps_of(settings(tmp_path, raw, train=node))


@pytest.mark.parametrize(
    "override",
    [
        "out=",
        "out=/",
        "out=..",
        "study.name=",
        "study.name=../x",
        "study.name=/x",
        "paths.outputs=",
    ],
)
def test_a_study_without_a_place_of_its_own_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, override: str
) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    overrides = ["study=smoke", override]
    with pytest.raises(UsageError, match=r"\((out|study\.name|paths\.outputs)\)"):
        study(compose("study", overrides))
    assert [path.name for path in tmp_path.rglob("*")] == ["work"]


def test_what_full_grid_cannot_do_is_refused(tmp_path: Path, raw: Path) -> None:
    node = {"model": "lookup", "full_grid": True, "shuffle_source": True}
    with pytest.raises(UsageError, match=r"got both \(study\.predict\.lookup\)"):
        steps_of(settings(tmp_path, raw, predict={"lookup": node}))
    figure = {"subjects": 1, "methods": ["lookup", "lookup_full_grid"]}
    with pytest.raises(UsageError, match="without full_grid, got lookup_full_grid"):
        steps_of(settings(tmp_path, raw, figure=figure))
    figure = {"subjects": 1, "methods": ["absent"]}
    with pytest.raises(UsageError, match=r"study\.predict names, got absent"):
        steps_of(settings(tmp_path, raw, figure=figure))
    figure = {"subjects": 1, "methods": ["lookup"], "spread": ["lookup"]}
    with pytest.raises(UsageError, match="2 or more samples, got lookup"):
        steps_of(settings(tmp_path, raw, figure=figure))


def test_raw_data_has_to_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MRCONTRAST_REAL_DATA", raising=False)
    stages = ("autoencoder", "latent_diffusion", "controlnet")
    fresh = ["study=openms", *(f"study.train.{name}.start_from=null" for name in stages)]
    config = compose("study", [*fresh, f"paths.outputs={tmp_path}"])
    with pytest.raises(UsageError, match=r"Add study\.source=FOLDER, or set MRCONTRAST_REAL_DATA"):
        plan(config.study, tmp_path / "study")
    named = compose("study", [*fresh, "study.source=/a b/raw"])
    assert plan(named.study, tmp_path)[0].settings["sources"][0]["root"] == "/a b/raw/openms-mni"
    monkeypatch.setenv("MRCONTRAST_REAL_DATA", "/elsewhere")
    by_name = compose("study", fresh)
    assert plan(by_name.study, tmp_path)[0].settings["sources"][0]["root"].startswith("/elsewhere/")


def test_a_training_knows_the_weights_that_it_starts_from(tmp_path: Path, raw: Path) -> None:
    start = toy_run(tmp_path, "start", "stage=toy_autoencoder")
    other = toy_run(tmp_path, "other", "stage=toy_autoencoder", "seed=1")

    def settings_with(path: Path | None) -> dict:
        node = {"overrides": ["stage=lookup"], "start_from": None if path is None else str(path)}
        return steps_of(settings(tmp_path, raw, train={"lookup": node}))["lookup"].settings

    without = steps_of(settings(tmp_path, raw))["lookup"].settings
    assert settings_with(None) == without
    assert settings_with(start.path) == without | {"start_from": start.verify()}
    moved = shutil.copytree(start.path, tmp_path / "moved")
    assert settings_with(moved) == settings_with(start.path)  # the weights count, not the place
    assert settings_with(other.path) != settings_with(start.path)
    (RunFolder(moved).weights_path).unlink()
    with pytest.raises(MrcontrastError, match="Expected a finished run"):
        settings_with(moved)
    with pytest.raises(
        UsageError, match=r"outside the study, got .*study\.train\.lookup\.start_from"
    ):
        settings_with(tmp_path / "tiny" / "runs" / "autoencoder")


def test_a_training_may_start_from_an_earlier_one_of_the_study(tmp_path: Path, raw: Path) -> None:
    train = {
        "lookup": {"overrides": ["stage=lookup"]},
        "second": {"overrides": ["stage=lookup"], "start_from": "lookup"},
    }
    steps = steps_of(settings(tmp_path, raw, train=train))
    assert steps["lookup"].inputs == ("data",)
    assert steps["second"].inputs == ("data", "lookup")  # done anew whenever that was
    assert steps["second"].settings["start_from"] == "lookup"


def test_a_training_that_another_needs_stands_before_it(tmp_path: Path, raw: Path) -> None:
    train = {
        "lookup": {"overrides": ["stage=lookup"], "start_from": "late"},
        "late": {"overrides": ["stage=lookup"]},
    }
    with pytest.raises(UsageError, match=r"Expected late before lookup.*\(study\.train\)"):
        steps_of(settings(tmp_path, raw, train=train))


@pytest.mark.parametrize(
    ("node", "words"),
    [
        ({"samples": "two"}, r"Expected int, got two \(study\.predict\.lookup\.samples\)"),
        ({"temperature": -1}, r"temperature of 0 or more, got -1\. Change study\.predict\.lookup"),
    ],
)
def test_draws_are_looked_at_before_anything_runs(
    tmp_path: Path, raw: Path, node: dict, words: str
) -> None:
    predict = {"lookup": {"model": "lookup", **node}}
    with pytest.raises(UsageError, match=words):
        steps_of(settings(tmp_path, raw, predict=predict))


def test_a_feature_network_is_part_of_the_evaluations_settings(tmp_path: Path) -> None:
    plain = {"features": "efficientnet_lite0"}
    assert evaluate_step(["lookup"], plain, tmp_path).settings["features"] == "efficientnet_lite0"
    assert evaluate_step(["lookup"], {}, tmp_path).settings == {"methods": ["lookup"]}


def test_a_study_translates_by_models_that_it_does_not_train(tmp_path: Path) -> None:
    run = toy_run(tmp_path / "elsewhere", "given", "stage=toy_autoencoder")
    overrides = ["study=smoke", f"paths.outputs={tmp_path}", "~study.predict"]
    overrides.append("study.figure.methods=[ours]")
    config = compose("study", [*overrides, f"+study.predict={{ours:{{model:'{run.path}'}}}}"])
    step = next(
        step for step in plan(config.study, tmp_path / "study") if step.name == "predict-ours"
    )
    assert step.inputs == ("data",)
    assert step.settings["outside"] == {str(run.path): run.verify()}
    with pytest.raises(UsageError, match="released model or a run folder, got absent"):
        plan(
            compose("study", [*overrides, "+study.predict={ours:{model:absent}}"]).study,
            tmp_path / "study",
        )
