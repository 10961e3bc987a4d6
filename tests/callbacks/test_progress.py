"""Plain lines of progress."""

import logging
from pathlib import Path

import pytest

from toy.runs import toy_run


def test_lines_say_step_pace_and_score(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="mrcontrast"):
        toy_run(tmp_path, "a", "stage=toy_autoencoder", "callbacks.progress.every_seconds=0")
    lines = [
        record.getMessage()
        for record in caplog.records
        if record.name == "mrcontrast.callbacks.progress"
    ]
    assert lines[0] == "Training ToyAutoencoder (10 of 10 parameters) on cpu, step 0 to 4"
    assert sum("train/loss" in line for line in lines) == 4
    assert sum("val/loss" in line and "s left" in line for line in lines) >= 2
