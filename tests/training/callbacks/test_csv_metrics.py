"""A run's metrics as a CSV file."""

import logging
import os
from pathlib import Path

import pytest

from mrcontrast.training.callbacks.csv_metrics import CsvMetrics


def test_a_second_logger_appends(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    CsvMetrics(path).log_metrics({"val/loss": 0.5, "lr": 1e-4}, step=2)
    CsvMetrics(path).log_metrics({"val/loss": float("nan")}, step=4)
    assert path.read_text().splitlines() == [
        "step,metric,value",
        "2,val/loss,0.5",
        "2,lr,0.0001",
        "4,val/loss,nan",
    ]


def test_a_full_disk_is_told_once_and_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "metrics.csv"
    path.symlink_to("/dev/full")
    metrics = CsvMetrics(path)
    with caplog.at_level(logging.WARNING, logger="mrcontrast"):
        metrics.log_metrics({"val/loss": 0.5}, step=2)
        metrics.log_metrics({"val/loss": 0.4}, step=4)
    (record,) = caplog.records
    assert "training goes on: No space left on device" in record.getMessage()
    path.unlink()
    metrics.log_metrics({"val/loss": 0.3}, step=6)
    assert path.read_text().splitlines() == ["step,metric,value", "6,val/loss,0.3"]


def test_a_row_that_does_not_fit_leaves_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "metrics.csv"
    metrics = CsvMetrics(path)
    metrics.log_metrics({"val/loss": 0.5}, step=2)
    before = path.read_bytes()

    class Full:
        def __init__(self, path: Path, *args: object, **options: object) -> None:
            self.file = os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND), "ab", 0)
            self.file.seek(0, os.SEEK_END)

        def __enter__(self) -> "Full":
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()

        def write(self, data: bytes) -> int:
            return self.file.write(data[:5])

        def __getattr__(self, name: str) -> object:
            return getattr(self.file, name)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", Full)
        metrics.log_metrics({"val/loss": 0.4}, step=4)
    assert path.read_bytes() == before
