"""A training that was stopped goes on: same weights, same MLflow run."""

import csv
import os
import shutil
import signal
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from mrcontrast.cli import main
from mrcontrast.commands.train import train
from mrcontrast.errors import MrcontrastError
from mrcontrast.runs.contents import check_run_folder
from mrcontrast.runs.folder import RunFolder
from mrcontrast.training.resume import course, read_checkpoint
from toy.runs import (
    arguments,
    end_of,
    in_child,
    mlflow_runs,
    toy_config,
    toy_run,
    wait_for,
    with_mlflow,
)

STEPS = ("trainer.max_steps=12", "trainer.val_check_interval=4", "save_every_n_steps=1")
SLOW = "stage.seconds_a_step=0.3"  # long enough to be met on a busy machine


def start_and_signal(root: Path, number: int) -> int:
    """Train in a child, send a signal after some steps, and return the child's exit code."""
    overrides = ["stage=toy_autoencoder", *with_mlflow(root), *STEPS, SLOW]
    process = in_child(lambda: main(["train", *arguments(root, *overrides)]))
    wait_for((root / "runs/toy_autoencoder/checkpoints/last.ckpt").exists)
    os.kill(process, number)
    return end_of(process)


def go_on(root: Path) -> RunFolder:
    return toy_run(
        root, "toy_autoencoder", "stage=toy_autoencoder", *with_mlflow(root), *STEPS, SLOW
    )


@pytest.mark.parametrize(
    ("number", "code", "status"),
    [
        (signal.SIGKILL, -signal.SIGKILL, "RUNNING"),
        (signal.SIGINT, 130, "KILLED"),
        (signal.SIGTERM, 143, "KILLED"),
    ],
)
def test_a_stopped_training_goes_on(
    tmp_path: Path, number: int, code: int, status: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert start_and_signal(tmp_path, number) == code
    (run,) = mlflow_runs(tmp_path)
    assert run.info.status == status
    folder = RunFolder(tmp_path / "runs/toy_autoencoder")
    assert not folder.finished
    stopped_at = read_checkpoint(folder.last_checkpoint)["global_step"]
    assert 0 < stopped_at < 12
    errors = capfd.readouterr().err
    assert errors.count("\n") == (0 if number == signal.SIGKILL else 1), errors

    folder = go_on(tmp_path)
    (after,) = mlflow_runs(tmp_path)
    assert (after.info.run_id, after.info.status) == (run.info.run_id, "FINISHED")
    assert folder.provenance["mlflow_run_id"] == run.info.run_id
    assert folder.finished
    assert read_checkpoint(folder.last_checkpoint)["global_step"] == 12
    assert sorted(path.name for path in folder.pictures.iterdir()) == [
        f"step_0000{step:02d}.png" for step in (0, 4, 8, 12)
    ]


def test_a_resumed_training_gives_the_weights_of_one_that_ran_through(tmp_path: Path) -> None:
    whole = toy_run(tmp_path, "whole", "stage=toy_autoencoder", *STEPS)
    half = tmp_path / "half.ckpt"
    shutil.copy(toy_checkpoint(tmp_path, steps=8), half)
    train(toy_config(tmp_path, "name=parts", "stage=toy_autoencoder", *STEPS, f"resume={half}"))
    parts = RunFolder(tmp_path / "runs/parts")
    ours, theirs = (read_checkpoint(run.last_checkpoint) for run in (parts, whole))
    for state in ("state_dict", "current_model_state"):
        for key, value in theirs[state].items():
            torch.testing.assert_close(ours[state][key], value, rtol=0, atol=0)
    assert ours["averaging_state"] == theirs["averaging_state"]


def toy_checkpoint(root: Path, steps: int) -> Path:
    """Return the last checkpoint of a training of so many steps."""
    overrides = [f"trainer.max_steps={steps}", "trainer.val_check_interval=4"]
    return toy_run(root, f"until-{steps}", "stage=toy_autoencoder", *overrides).last_checkpoint


def test_the_average_is_restored_not_started_again(tmp_path: Path) -> None:
    checkpoint = read_checkpoint(toy_checkpoint(tmp_path, steps=8))
    key = "autoencoder.weight"
    assert int(checkpoint["averaging_state"]["n_averaged"]) == 8
    assert not torch.equal(checkpoint["state_dict"][key], checkpoint["current_model_state"][key])
    overrides = ["stage=toy_autoencoder", "trainer.max_steps=9", "stage.lr=0.0", "name=on"]
    path = tmp_path / "runs/until-8/checkpoints/last.ckpt"
    train(toy_config(tmp_path, *overrides, f"resume={path}"))
    after = read_checkpoint(tmp_path / "runs/on/checkpoints/last.ckpt")
    assert int(after["averaging_state"]["n_averaged"]) == 9
    weight, average = checkpoint["current_model_state"][key], checkpoint["state_dict"][key]
    decay = (1 + 8) / (10 + 8)
    moved = after["current_model_state"][key]
    torch.testing.assert_close(after["state_dict"][key], decay * average + (1 - decay) * moved)
    assert not torch.equal(average, weight)


def test_metrics_of_both_parts_are_kept(tmp_path: Path) -> None:
    start_and_signal(tmp_path, signal.SIGKILL)
    folder = go_on(tmp_path)
    with folder.metrics_path.open() as file:
        steps = [int(row["step"]) for row in csv.DictReader(file) if row["metric"] == "val/loss"]
    assert len(steps) == 3


def test_changed_data_is_refused(tmp_path: Path) -> None:
    folder = unfinished(tmp_path)
    before = folder.provenance
    folder.write_provenance(before | {"data_hash": "other"})
    with pytest.raises(MrcontrastError, match="Expected the data_hash that training began with"):
        toy_run(tmp_path, "a", "stage=toy_autoencoder")


def unfinished(root: Path) -> RunFolder:
    folder = toy_run(root, "a", "stage=toy_autoencoder")
    folder.weights_path.unlink()
    return folder


def test_a_run_without_weights_is_brought_to_its_end(tmp_path: Path) -> None:
    folder = unfinished(tmp_path)
    toy_run(tmp_path, "a", "stage=toy_autoencoder")
    assert folder.finished
    best = read_checkpoint(folder.best_checkpoint)["state_dict"]["autoencoder.weight"]
    assert torch.equal(folder.read_weights()["autoencoder.weight"], best)


@pytest.mark.parametrize("content", [b"", b"no checkpoint"])
def test_a_broken_checkpoint_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.ckpt"
    path.write_bytes(content)
    with pytest.raises(MrcontrastError, match=r"Expected a checkpoint, .*broken\.ckpt"):
        train(toy_config(tmp_path, "stage=toy_autoencoder", f"resume={path}"))


def test_a_checkpoint_of_another_stage_is_refused(tmp_path: Path) -> None:
    checkpoint = toy_checkpoint(tmp_path, steps=1)
    parent = f"autoencoder={tmp_path}/runs/until-1"
    config = toy_config(tmp_path, "stage=toy_diffusion", parent, f"resume={checkpoint}")
    with pytest.raises(MrcontrastError, match="Expected a tensor"):
        train(config)


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(MrcontrastError, match=r"got no file \(nowhere\.ckpt\)"):
        train(toy_config(tmp_path, "stage=toy_autoencoder", "resume=nowhere.ckpt"))


def test_a_moved_run_keeps_its_best_and_its_seconds(tmp_path: Path) -> None:
    last = toy_checkpoint(tmp_path, steps=4)
    state = read_checkpoint(last)
    (best,) = (node for node in state["callbacks"].values() if "best_model_score" in node)
    score = torch.tensor(-1.0)  # no later loss beats it
    best |= {"best_model_score": score, "kth_value": score}
    best["best_k_models"] = dict.fromkeys(best["best_k_models"], score)
    state["callbacks"]["Elapsed"]["seconds"] = 5000.0
    folder = RunFolder(last.parent.parent.rename(tmp_path / "runs" / "moved"))
    torch.save(state, tmp_path / "half.ckpt")
    overrides = ["stage=toy_autoencoder", f"out={folder.path}", "trainer.max_steps=8"]
    train(toy_config(tmp_path, *overrides, f"resume={tmp_path}/half.ckpt"))
    assert read_checkpoint(folder.last_checkpoint)["global_step"] == 8
    assert read_checkpoint(folder.best_checkpoint)["global_step"] == 4
    assert 5000 < folder.provenance["seconds"] < 6000


def test_a_run_made_before_goes_on(tmp_path: Path) -> None:
    folder = unfinished(tmp_path)
    text = folder.config_path.read_text()
    ours = "mrcontrast.training.callbacks.checkpoints.BestCheckpoint"
    assert ours in text
    text = text.replace(ours, "lightning.pytorch.callbacks.ModelCheckpoint")
    folder.config_path.write_text(text)
    toy_run(tmp_path, "a", "stage=toy_autoencoder")
    assert folder.finished


def test_checkpoints_go_through_no_other_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "lightning.fabric.plugins.io.torch_io._atomic_save",
        lambda checkpoint, path: pytest.fail(f"{path} by way of TMPDIR"),
    )
    assert toy_run(tmp_path, "a", "stage=toy_autoencoder").best_checkpoint.is_file()


def test_a_cache_may_move(tmp_path: Path) -> None:
    settings = {"stage": {"lr": 1}, "callbacks": None}
    here, there, other = (
        OmegaConf.create(settings | {"stage": {"lr": rate, "store": {"folder": folder}}})
        for rate, folder in ((1, "a"), (1, "b"), (2, "a"))
    )
    assert course(here) == course(there) != course(other)


@pytest.mark.parametrize("name", ["metrics.csv", "checkpoints"])
def test_a_run_with_links_that_lead_out_does_not_go_on(tmp_path: Path, name: str) -> None:
    folder = RunFolder(tmp_path / "runs" / "received")
    folder.write_config(OmegaConf.create({"stage": {"_target_": "some.Stage"}}))
    (tmp_path / "precious").mkdir()
    (folder.path / name).symlink_to(tmp_path / "precious")
    with pytest.raises(MrcontrastError, match=f"leads out of the run, got .*{name} -> "):
        check_run_folder(folder, replace=False)
