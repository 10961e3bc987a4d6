"""The guard against losses that are not numbers."""

from pathlib import Path
from unittest.mock import MagicMock

import pytest
import torch

from mrcontrast.callbacks.nan_guard import NanGuard
from mrcontrast.errors import MrcontrastError
from mrcontrast.run_folder import RunFolder
from mrcontrast.train import train
from toy.runs import mlflow_runs, toy_config, with_mlflow


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_it_stops_and_keeps_the_batch(tmp_path: Path, value: float) -> None:
    guard = NanGuard(str(tmp_path / "run/nan_batch.pt"))
    batch = {"t1w": torch.ones(2, 1, 3, 4), "subject": ["sub-1", "sub-2"]}
    trainer = MagicMock(global_step=7)
    guard.on_train_batch_start(trainer, MagicMock(), batch, 0)
    guard.on_before_backward(trainer, MagicMock(), torch.tensor(1.0))
    with pytest.raises(MrcontrastError, match="at step 7"):
        guard.on_before_backward(trainer, MagicMock(), torch.tensor(value))
    kept = torch.load(guard.path, weights_only=True)
    assert torch.equal(kept["t1w"], batch["t1w"])
    assert kept["subject"] == batch["subject"]


def test_a_training_fails_before_its_weights_are_spoilt(tmp_path: Path) -> None:
    overrides = ["stage=toy_autoencoder", "stage.lr=1e30", "trainer.gradient_clip_val=null"]
    with pytest.raises(MrcontrastError, match="Expected a finite loss"):
        train(toy_config(tmp_path, *overrides, *with_mlflow(tmp_path)))
    folder = RunFolder(tmp_path / "runs/autoencoder")
    assert (folder.path / "nan_batch.pt").exists()
    assert not folder.finished
    (run,) = mlflow_runs(tmp_path)
    assert run.info.status == "FAILED"
