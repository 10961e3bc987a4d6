"""A training that time ends: rates fall with it, the end is validated, a restart adds nothing."""

import csv
from pathlib import Path

import pytest

from mrcontrast.commands.train import train
from mrcontrast.runs.folder import RunFolder
from mrcontrast.training.resume import read_checkpoint
from toy.runs import toy_config

RATE, LEAST = 1e-3, 0.02
OVERRIDES = (
    "stage=unet_regression",
    "stage.regressor.network.kernel_size=[3,3,3]",
    "stage.regressor.network.strides=[1,2,2]",
    "stage.regressor.network.upsample_kernel_size=[2,2]",
    "stage.regressor.network.filters=[8,8,8]",
    "stage.optimisation.warmup_steps=1",
    f"stage.optimisation.optimizer.lr={RATE}",
    f"stage.optimisation.final_lr_fraction={LEAST}",
    "data=prepared",
    "data.batch_size=4",
    "data.augmentation=null",
    "data.items.max_val_items=2",
    "callbacks.pictures.count=0",
    "trainer.max_steps=-1",
    "trainer.max_time=00:00:00:01",
    "trainer.val_check_interval=100000",
    "trainer.log_every_n_steps=1",
)


def logged(folder: RunFolder, name: str) -> list[tuple[int, float]]:
    with folder.metrics_path.open() as file:
        rows = list(csv.DictReader(file))
    found = [(int(row["step"]), float(row["value"])) for row in rows if row["metric"] == name]
    assert found, {row["metric"] for row in rows}
    return found


def test_a_second_of_training(tmp_path: Path, prepared_root: Path) -> None:
    config = toy_config(tmp_path, *OVERRIDES, f"data.root={prepared_root}")
    score = train(config)
    folder = RunFolder(config.out)
    last = read_checkpoint(folder.last_checkpoint)
    steps = last["global_step"]
    assert last["callbacks"]["Timer"]["time_elapsed"]["train"] >= 1
    rates = [value for _, value in logged(folder, "lr-AdamW")]
    assert max(rates) > 0.5 * RATE
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 0.2 * RATE
    assert logged(folder, "val/psnr") == [(steps - 1, pytest.approx(score, abs=1e-3))]
    assert folder.provenance["score"]["step"] == steps

    folder.weights_path.unlink()
    assert train(config) == score
    assert read_checkpoint(folder.last_checkpoint)["global_step"] == steps
