"""From a config to a run folder."""

import csv
import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from mrcontrast.commands.train import train
from mrcontrast.config.build import compose
from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.runs.contents import LOCK
from mrcontrast.runs.folder import RunFolder
from mrcontrast.storage.files import sha256_file, write_text
from mrcontrast.storage.folder_lock import alone
from mrcontrast.tracking.loading import load_stage
from mrcontrast.training.resume import read_checkpoint
from toy.autoencoder import ToyData
from toy.runs import end_of, in_child, mlflow_runs, toy_config, toy_run, wait_for, with_mlflow


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
    score = train(toy_config(root, "name=a", "stage=toy_autoencoder", "workers=1"))
    assert score == finished.provenance["score"]["value"]
    assert finished.weights_path.stat().st_mtime_ns == before


def test_another_config_is_refused_and_its_key_named(finished: RunFolder, root: Path) -> None:
    with pytest.raises(MrcontrastError, match=r"got stage\.lr=0\.5 where it has 0\.01"):
        train(toy_config(root, "name=a", "stage=toy_autoencoder", "stage.lr=0.5"))
    with pytest.raises(MrcontrastError, match=r"callbacks\.ema\.decay=0\.5"):
        train(toy_config(root, "name=a", "stage=toy_autoencoder", "callbacks.ema.decay=0.5"))


def test_overwrite_moves_the_earlier_run_aside(tmp_path: Path) -> None:
    folder = toy_run(tmp_path, "a", "stage=toy_autoencoder")
    (folder.path / "notes.txt").write_text("mine")
    first = folder.provenance["weights_sha256"]
    before = contents(folder.path)
    toy_run(tmp_path, "a", "stage=toy_autoencoder", "stage.lr=0.5", "overwrite=true")
    assert folder.provenance["weights_sha256"] != first
    assert folder.config.stage.lr == 0.5
    assert folder.metrics_path.read_text().count("val/loss") == 2
    aside = tmp_path / "runs" / f"a.earlier-{first[:12]}"
    assert contents(aside) == before
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["a", aside.name]


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


FOREIGN = {  # files of others, whose names a training uses too
    "config": {"config.yaml": "seed: 1"},
    "list": {"config.yaml": "- a"},
    "other-tool": {"config.yaml": "stage: {_target_: a.b.C}", "checkpoints/best.ckpt": "weights"},
    "no-config": {"weights.safetensors": "weights", "metrics.csv": "epoch,loss"},
    "pictures": {"pictures/me.png": "a cat"},
    "provenance": {"config.yaml": "stage: {_target_: a.b.C}", "provenance.json": '{"by": "dvc"}'},
    "no-mapping": {"config.yaml": "seed: 1", "provenance.json": "[]"},
}


@pytest.mark.parametrize("options", [["overwrite=true"], ["resume=null"], []])
@pytest.mark.parametrize("files", FOREIGN.values(), ids=FOREIGN)
def test_a_folder_of_others_is_refused(
    tmp_path: Path, files: dict[str, str], options: list[str]
) -> None:
    for name, text in files.items():
        write_text(tmp_path / "theirs" / name, text)
    before = contents(tmp_path)
    with pytest.raises(MrcontrastError, match="theirs") as caught:
        train(toy_config(tmp_path, "stage=toy_autoencoder", f"out={tmp_path}/theirs", *options))
    assert "\n" not in str(caught.value)
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    "override",
    [
        "out=",
        "out=.",
        "out=/",
        "out=null",
        "out=${oc.env:HOME}",
        "out=..",
        "name=",
        "name=.",
        "name=null",
        "name=..",
        "name=../../elsewhere",
        "name=a/../..",
        "name=/tmp/elsewhere",
        "paths.outputs=",
    ],
)
@pytest.mark.parametrize("overwrite", ["true", "false"])
def test_a_place_that_is_not_the_runs_own_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, override: str, overwrite: str
) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    overrides = ["stage=toy_autoencoder", override, f"overwrite={overwrite}"]
    with pytest.raises(UsageError, match=r"\((out|name|paths\.outputs)\)") as caught:
        train(toy_config(tmp_path / "outputs", *overrides))
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("*.*"))


def test_starting_again_keeps_what_was_there(tmp_path: Path) -> None:
    folder = toy_run(tmp_path, "a", "stage=toy_autoencoder")
    folder.weights_path.unlink()
    before = contents(folder.path)
    toy_run(tmp_path, "a", "stage=toy_autoencoder", "resume=null")
    (aside,) = (tmp_path / "runs").glob("a.earlier-*")
    assert contents(aside) == before
    assert folder.metrics_path.read_text().count("val/loss") == 2


def test_going_on_from_a_checkpoint_keeps_the_run_that_was_there(tmp_path: Path) -> None:
    folder = toy_run(tmp_path, "a", "stage=toy_autoencoder")
    before = contents(folder.path)
    resume = f"resume={folder.last_checkpoint}"
    toy_run(tmp_path, "a", "stage=toy_autoencoder", "trainer.max_steps=6", resume)
    (aside,) = (tmp_path / "runs").glob("a.earlier-*")
    assert contents(aside) == before
    assert contents(folder.path) != before
    with pytest.raises(UsageError, match="Expected no overwrite=true"):
        toy_run(tmp_path, "a", "stage=toy_autoencoder", "overwrite=true", resume)


def test_more_steps_of_a_finished_run_are_told_the_right_way(
    finished: RunFolder, root: Path
) -> None:
    for option in ("trainer.max_steps=8", "trainer.max_time=00:01:00:00", "trainer.max_epochs=3"):
        with pytest.raises(MrcontrastError, match=r"add start_from=.*runs/a name=NEW") as caught:
            train(toy_config(root, "name=a", "stage=toy_autoencoder", option))
        assert "overwrite" not in str(caught.value)


def test_flipped_weights_of_a_finished_run_are_seen(tmp_path: Path, finished: RunFolder) -> None:
    folder = RunFolder(shutil.copytree(finished.path, tmp_path / "runs" / "a"))
    content = bytearray(folder.weights_path.read_bytes())
    content[-1] ^= 1
    folder.weights_path.write_bytes(content)
    with pytest.raises(MrcontrastError, match="Expected weights with SHA-256"):
        train(toy_config(tmp_path, "name=a", "stage=toy_autoencoder"))


def hold(folder: Path) -> int:
    """Hold the lock of a run folder in a child, until it is killed."""

    def work() -> int:
        with alone(folder, LOCK, "training"):
            (folder.parent / "held").touch()
            time.sleep(600)
        return 0

    process = in_child(work)
    wait_for((folder.parent / "held").exists)
    return process


def test_a_second_training_in_a_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mrcontrast.storage.folder_lock.PATIENCE_SECONDS", 0.2)
    process = hold(tmp_path / "runs" / "a")
    with pytest.raises(MrcontrastError, match="Expected one training at a time") as caught:
        toy_run(tmp_path, "a", "stage=toy_autoencoder")
    assert caught.value.exit_code == 1
    assert [path.name for path in (tmp_path / "runs" / "a").iterdir()] == [LOCK]
    os.kill(process, signal.SIGKILL)
    end_of(process)
    toy_run(tmp_path, "a", "stage=toy_autoencoder")
    assert not (tmp_path / "runs" / "a" / LOCK).exists()


def test_other_processes_of_a_training_take_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mrcontrast.storage.folder_lock.PATIENCE_SECONDS", 0.2)
    process = hold(tmp_path / "runs" / "a")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr("mrcontrast.commands.train.train_in", lambda *_: 0.5)
    assert train(toy_config(tmp_path, "name=a", "stage=toy_autoencoder")) == 0.5
    os.kill(process, signal.SIGKILL)
    end_of(process)


def test_a_run_is_named_after_the_choice_of_its_stage(tmp_path: Path) -> None:
    for choice in ("lookup", "toy_lookup", "toy_autoencoder"):
        config = toy_config(tmp_path, f"stage={choice}")
        assert config.name == choice
        assert config.out == f"{tmp_path}/runs/{choice}"
    assert toy_config(tmp_path, "stage=lookup", "name=mine").name == "mine"


@pytest.mark.parametrize("way", ["absolute", "relative", "moved"])
def test_the_same_data_by_another_path_are_the_same(
    make_root: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    root = make_root("train", "val")
    monkeypatch.chdir(tmp_path)
    options = ["stage=lookup", "data=prepared", "data.augmentation=null"]
    toy_run(tmp_path, "a", *options, "data.root=prepared")
    if way == "moved":
        root = root.rename(tmp_path / "elsewhere")
    where = "../" + tmp_path.name + "/prepared" if way == "relative" else root
    folder = toy_run(tmp_path, "a", *options, f"data.root={where}")
    assert folder.finished
    record = root / "sub-01" / "anat" / "sub-01_T1w.nii.gz"
    table = (root / "manifest.tsv").read_text()
    (root / "manifest.tsv").write_text(table.replace(sha256_file(record), "0" * 64))
    with pytest.raises(MrcontrastError, match="Expected the data_hash that training began with"):
        toy_run(tmp_path, "a", *options, f"data.root={where}")


def test_data_and_parents_may_move(tmp_path: Path) -> None:
    toy_run(tmp_path, "parent", "stage=toy_autoencoder")
    overrides = ["stage=toy_diffusion", f"autoencoder={tmp_path}/runs/parent"]
    folder = toy_run(tmp_path, "a", *overrides)
    (tmp_path / "runs" / "parent").rename(tmp_path / "moved")
    before = folder.weights_path.stat().st_mtime_ns
    toy_run(tmp_path, "a", "stage=toy_diffusion", f"autoencoder={tmp_path}/moved")
    assert folder.weights_path.stat().st_mtime_ns == before
    toy_run(tmp_path, "other", "stage=toy_autoencoder", "seed=1")
    with pytest.raises(MrcontrastError, match="Expected the parents that training began with"):
        toy_run(tmp_path, "a", "stage=toy_diffusion", f"autoencoder={tmp_path}/runs/other")


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
        train(toy_config(tmp_path, "stage=toy_autoencoder", f"out={tmp_path}/file/run"))


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
    other = {"autoencoder": "other"} if key == "parents" else "other"
    folder.write_provenance(folder.provenance | {key: other})
    config = toy_config(tmp_path, "name=a", "stage=toy_autoencoder")
    with pytest.raises(MrcontrastError, match=f"Expected the {key} that training began with"):
        train(config)


def test_a_record_that_a_kill_left_open_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*args: object) -> None:
        raise KeyboardInterrupt

    config = toy_config(tmp_path, "name=a", "stage=toy_autoencoder", *with_mlflow(tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr("mrcontrast.commands.train.tell_end", die)
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
