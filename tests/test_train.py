"""From a config to a run folder."""

import csv
import json
import shutil
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from mrcontrast.config import compose
from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.resume import read_checkpoint
from mrcontrast.run_folder import RunFolder
from mrcontrast.tracking import load_stage
from mrcontrast.train import train
from toy.autoencoder import ToyData
from toy.runs import mlflow_runs, toy_config, toy_run, with_mlflow


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(scope="module")
def finished(root: Path) -> RunFolder:
    return toy_run(root, "a", "stage=toy_autoencoder")


def test_a_run_leaves_everything_behind(finished: RunFolder) -> None:
    names = {str(path.relative_to(finished.path)) for path in finished.path.rglob("*.*")}
    pictures = {f"pictures/step_00000{step}.png" for step in (0, 2, 4)}
    assert names == pictures | {
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
        "config.yaml",
        "metrics.csv",
        "provenance.json",
        "weights.safetensors",
    }
    assert json.loads(json.dumps(finished.provenance))["data_hash"] == "data"
    assert finished.verify() == finished.provenance["weights_sha256"]


def test_the_weights_are_the_average_of_the_best_validation(finished: RunFolder) -> None:
    best = read_checkpoint(finished.best_checkpoint)
    weights = finished.read_weights()
    key = "autoencoder.weight"
    assert torch.equal(weights[key], best["state_dict"][key])
    assert not torch.equal(weights[key], best["current_model_state"][key])


def test_validation_scores_the_averaged_weights(finished: RunFolder) -> None:
    stage = load_stage(finished.path)
    images = ToyData(shape=[6, 8]).items.images
    loss = torch.nn.functional.mse_loss(stage.autoencoder(images), images)
    assert loss.item() == pytest.approx(finished.provenance["score"]["value"], rel=1e-4)


def test_the_score_is_the_best_of_all_validations(finished: RunFolder) -> None:
    with finished.metrics_path.open() as file:
        rows = [row for row in csv.DictReader(file) if row["metric"] == "val/loss"]
    scores = {int(row["step"]): float(row["value"]) for row in rows}
    assert len(scores) == 2
    score = finished.provenance["score"]
    assert score["monitor"] == "val/loss"
    assert score["value"] == pytest.approx(min(scores.values()), rel=1e-6)


def test_a_stage_finishes_before_its_weights_are_written(finished: RunFolder) -> None:
    assert finished.read_weights()["latent_mean"].item() == pytest.approx(0.5, abs=0.1)


def test_the_same_command_does_a_finished_run_no_more(finished: RunFolder, root: Path) -> None:
    before = finished.weights_path.stat().st_mtime_ns
    score = train(toy_config(root, "name=a", "stage=toy_autoencoder", "data.num_workers=1"))
    assert score == finished.provenance["score"]["value"]
    assert finished.weights_path.stat().st_mtime_ns == before


def test_another_config_is_refused_and_its_key_named(finished: RunFolder, root: Path) -> None:
    with pytest.raises(MrcontrastError, match=r"got stage\.lr=0\.5 where it has 0\.01"):
        train(toy_config(root, "name=a", "stage=toy_autoencoder", "stage.lr=0.5"))
    with pytest.raises(MrcontrastError, match=r"callbacks\.ema\.decay=0\.5"):
        train(toy_config(root, "name=a", "stage=toy_autoencoder", "callbacks.ema.decay=0.5"))


def test_overwrite_trains_anew(tmp_path: Path) -> None:
    folder = toy_run(tmp_path, "a", "stage=toy_autoencoder")
    (folder.path / "notes.txt").write_text("mine")
    first = folder.provenance["weights_sha256"]
    toy_run(tmp_path, "a", "stage=toy_autoencoder", "stage.lr=0.5", "overwrite=true")
    assert folder.provenance["weights_sha256"] != first
    assert folder.config.stage.lr == 0.5
    assert (folder.path / "notes.txt").read_text() == "mine"
    assert folder.metrics_path.read_text().count("val/loss") == 2


def test_the_same_seed_gives_the_same_weights(finished: RunFolder, tmp_path: Path) -> None:
    again = toy_run(tmp_path, "a", "stage=toy_autoencoder")
    assert again.verify() == finished.verify()
    other = toy_run(tmp_path, "b", "stage=toy_autoencoder", "seed=1")
    assert other.verify() != finished.verify()


def test_pictures_do_not_change_the_course(finished: RunFolder, tmp_path: Path) -> None:
    bare = toy_run(tmp_path, "a", "stage=toy_autoencoder", "callbacks.pictures=null")
    assert not bare.pictures.exists()
    assert bare.verify() == finished.verify()


def test_a_stage_without_steps_is_validated(tmp_path: Path) -> None:
    folder = toy_run(tmp_path, "table", "stage=toy_lookup")
    assert folder.read_weights()["level"].item() == pytest.approx(0.5, abs=0.1)
    assert folder.provenance["score"]["value"] == pytest.approx(0.25, abs=0.05)


@pytest.mark.parametrize("interval", [100, 3])
def test_a_training_ends_with_a_validation(tmp_path: Path, interval: int) -> None:
    overrides = [f"trainer.val_check_interval={interval}", "trainer.check_val_every_n_epoch=null"]
    folder = toy_run(tmp_path, "a", "stage=toy_autoencoder", *overrides)
    with folder.metrics_path.open() as file:
        steps = [row["step"] for row in csv.DictReader(file) if row["metric"] == "val/loss"]
    assert steps[-1] == "3"  # Lightning counts from 0
    assert len(steps) == {100: 1, 3: 2}[interval]


def test_without_validation_the_last_weights_are_kept(tmp_path: Path) -> None:
    folder = toy_run(tmp_path, "a", "stage=toy_autoencoder", "trainer.limit_val_batches=0")
    assert folder.provenance["score"]["value"] is None
    last = read_checkpoint(folder.last_checkpoint)["state_dict"]
    assert torch.equal(folder.read_weights()["autoencoder.bias"], last["autoencoder.bias"])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["stage=toy_autoencoder", "frob=1"], "frob"),
        (["stage=nope"], r"got nope \(stage\)"),
        ([], "stage"),
        (["stage=toy_autoencoder", "stage.autoencoder.frob=1"], "frob"),
        (["stage=toy_autoencoder", "stage.lr=???"], "stage.lr"),
        (["stage=toy_autoencoder", "+stage.frob=1"], "frob"),
    ],
)
def test_a_config_that_does_not_fit_is_a_fault_of_usage(
    tmp_path: Path, overrides: list[str], message: str
) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        train(toy_config(tmp_path, *overrides))
    assert "\n" not in str(caught.value)


def test_a_run_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MrcontrastError, match="can be written to"):
        train(toy_config(tmp_path, "stage=toy_autoencoder", f"run_dir={tmp_path}/file/run"))


def test_parts_can_be_compiled_by_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="compile"):
        train(toy_config(tmp_path, "stage=toy_autoencoder", "compile=[frob]"))


@pytest.mark.parametrize("trainer", ["default", "cpu", "gpu"])
def test_trainer_configs_compose(trainer: str) -> None:
    config = compose("train", ["stage=autoencoder", f"trainer={trainer}"]).trainer
    assert config._target_ == "lightning.Trainer"
    assert config.max_steps > 0


@pytest.mark.parametrize("key", ["data_hash", "split_hash", "parents"])
def test_a_finished_run_of_other_data_or_parents_is_refused(
    tmp_path: Path, finished: RunFolder, key: str
) -> None:
    folder = RunFolder(shutil.copytree(finished.path, tmp_path / "runs" / "a"))
    folder.write_provenance(folder.provenance | {key: "other"})
    config = toy_config(tmp_path, "name=a", "stage=toy_autoencoder")
    OmegaConf.save(config, folder.config_path, resolve=True)
    with pytest.raises(MrcontrastError, match=f"Expected the {key} that training began with"):
        train(config)


def test_a_record_that_a_kill_left_open_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*args: object) -> None:
        raise KeyboardInterrupt

    config = toy_config(tmp_path, "name=a", "stage=toy_autoencoder", *with_mlflow(tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr("mrcontrast.train.tell_end", die)
        with pytest.raises(KeyboardInterrupt):
            train(config)
    (left,) = mlflow_runs(tmp_path)
    assert (left.info.status, left.data.metrics.get("best_score")) == ("KILLED", None)
    score = train(config)
    (run,) = mlflow_runs(tmp_path)
    assert (run.info.run_id, run.info.status) == (left.info.run_id, "FINISHED")
    assert run.data.metrics["best_score"] == pytest.approx(score)
    assert run.data.tags["mrcontrast.weights_sha256"]
    train(config)
    assert mlflow_runs(tmp_path)[0].info.end_time == run.info.end_time
