"""Pictures of fixed subjects."""

import logging
from errno import ENOSPC
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from matplotlib.image import imread
from torch import nn
from torch.utils.data import DataLoader

from mrcontrast.stages.contract import Stage
from mrcontrast.training.callbacks.pictures import SamplePictures, fixed_batch, planes, save_grid


class Pictured(Stage):
    def __init__(self) -> None:
        super().__init__()
        self.frozen = nn.Dropout().eval()

    def transfer_batch_to_device(self, batch: dict, device: torch.device, index: int) -> dict:
        return batch

    def forward(self, batch: dict, noise: object = None, generator: object = None) -> torch.Tensor:
        raise NotImplementedError

    def pictures(self, batch: dict) -> dict:
        return {"noise": torch.rand(2, 1, 4, 6) * (not self.training)}


def test_items_are_spread_evenly_and_stand_amid_their_share() -> None:
    loader = DataLoader([{"item": index} for index in range(30)], batch_size=5)
    assert fixed_batch(loader, 3)["item"].tolist() == [5, 15, 25]
    assert len(fixed_batch(loader, 99)["item"]) == 30


def test_planes_of_a_volume_are_its_middle_ones() -> None:
    volume = torch.arange(4 * 5 * 6.0).reshape(1, 1, 4, 5, 6)
    axial, coronal, sagittal = planes(volume)
    assert torch.equal(axial[0], volume[0, 0, :, :, 3])
    assert torch.equal(coronal[0], volume[0, 0, :, 2])
    assert torch.equal(sagittal[0], volume[0, 0, 2])


@pytest.mark.parametrize("shape", [(6, 8), (4, 6, 8)])
def test_the_front_of_the_head_is_at_the_top(tmp_path: Path, shape: tuple[int, ...]) -> None:
    image = torch.zeros(2, 1, *shape)
    image[:, :, :, shape[1] // 2 :] = 1.0  # the front half in y
    save_grid({"T1w": image}, ["sub-1", "sub-2"], tmp_path / "grid.png")
    pixels = imread(tmp_path / "grid.png")[..., 0]
    # The left column holds the axial plane of both items, one above the other.
    rows = pixels[:, pixels.shape[1] // (2 if len(shape) == 2 else 6)]
    item = rows[len(rows) // 2 + 20 : -15]
    assert np.all(item[: len(item) // 3] > 0.9)
    assert np.all(item[-len(item) // 4 :] < 0.1)


def test_drawing_moves_neither_generators_nor_modes(tmp_path: Path) -> None:
    stage = Pictured().train()
    stage.frozen.eval()
    callback = SamplePictures(str(tmp_path), count=2)
    callback.batch = {"subject": ["a", "b"]}
    before = torch.get_rng_state()
    trainer = MagicMock(global_step=200, loggers=[])
    callback.draw(trainer, stage)
    first = (tmp_path / "step_000200.png").read_bytes()
    assert torch.equal(torch.get_rng_state(), before)
    assert stage.training
    assert not stage.frozen.training
    callback.draw(trainer, stage)
    assert (tmp_path / "step_000200.png").read_bytes() == first


def test_a_stage_without_pictures_is_left_alone(tmp_path: Path) -> None:
    SamplePictures(str(tmp_path / "pictures")).draw(MagicMock(global_step=0), nn.Identity())
    assert not (tmp_path / "pictures").exists()


def test_a_full_disk_is_told_once_and_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(ENOSPC, "No space left on device")

    callback = SamplePictures(str(tmp_path), count=2)
    callback.batch = {"subject": ["a", "b"]}
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING, logger="mrcontrast"):
        patch.setattr("matplotlib.figure.Figure.savefig", full)
        for step in (200, 400):
            callback.draw(MagicMock(global_step=step, loggers=[]), Pictured())
    (record,) = caplog.records
    assert "training goes on" in record.getMessage()
    assert list(tmp_path.iterdir()) == []
    callback.draw(MagicMock(global_step=600, loggers=[]), Pictured())
    assert [path.name for path in tmp_path.iterdir()] == ["step_000600.png"]
