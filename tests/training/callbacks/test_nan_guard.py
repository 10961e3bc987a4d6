"""The guard against losses that are not numbers."""

from datetime import timedelta
from pathlib import Path
from unittest.mock import MagicMock

import pytest
import torch

from mrcontrast.commands.train import train
from mrcontrast.errors import MrcontrastError
from mrcontrast.runs.folder import RunFolder
from mrcontrast.training.callbacks.nan_guard import NanGuard
from toy.runs import end_of, in_child, mlflow_runs, toy_config, with_mlflow


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_it_stops_and_keeps_the_batch(tmp_path: Path, value: float) -> None:
    guard = NanGuard(str(tmp_path / "run/nan_batch.pt"))
    batch = {"target": torch.ones(2, 1, 3, 4), "subject": ["sub-1", "sub-2"]}
    trainer = MagicMock(global_step=7)
    guard.on_train_batch_start(trainer, MagicMock(), batch, 0)
    guard.on_before_backward(trainer, MagicMock(), torch.tensor(1.0))
    with pytest.raises(MrcontrastError, match="at step 7"):
        guard.on_before_backward(trainer, MagicMock(), torch.tensor(value))
    kept = torch.load(guard.path, weights_only=True)
    assert torch.equal(kept["target"], batch["target"])
    assert kept["subject"] == batch["subject"]


def guarded(root: Path, rank: int) -> int:
    """Look at one loss as one of two processes, the second of which has a NaN."""
    torch.distributed.init_process_group(
        "gloo",
        init_method=f"file://{root}/store",
        rank=rank,
        world_size=2,
        timeout=timedelta(seconds=30),
    )
    guard = NanGuard(str(root / "nan_batch.pt"))
    guard.on_train_batch_start(MagicMock(), MagicMock(), {"rank": rank}, 0)
    try:
        guard.on_before_backward(MagicMock(global_step=7), MagicMock(), torch.tensor(1.0))
        loss = torch.tensor([1.0, float("nan")][rank])
        guard.on_before_backward(MagicMock(global_step=7), MagicMock(), loss)
    except MrcontrastError as error:
        (root / f"{rank}.txt").write_text(str(error))
        return 3
    return 0


def test_of_two_processes_both_stop_and_one_keeps_its_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    children = [in_child(lambda rank=rank: guarded(tmp_path, rank)) for rank in (0, 1)]
    assert [end_of(child) for child in children] == [3, 3]
    assert torch.load(tmp_path / "nan_batch.pt", weights_only=True) == {"rank": 1}
    assert "got another in process 1 at step 7" in (tmp_path / "0.txt").read_text()
    assert "got nan at step 7" in (tmp_path / "1.txt").read_text()


def test_a_training_fails_before_its_weights_are_spoilt(tmp_path: Path) -> None:
    overrides = ["stage=toy_autoencoder", "stage.lr=1e30", "trainer.gradient_clip_val=null"]
    with pytest.raises(MrcontrastError, match="Expected a finite loss"):
        train(toy_config(tmp_path, *overrides, *with_mlflow(tmp_path)))
    folder = RunFolder(tmp_path / "runs/toy_autoencoder")
    assert (folder.path / "nan_batch.pt").exists()
    assert not folder.finished
    (run,) = mlflow_runs(tmp_path)
    assert run.info.status == "FAILED"
