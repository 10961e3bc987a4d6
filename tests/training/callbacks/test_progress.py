"""Plain lines of progress."""

import logging
import re
from itertools import pairwise
from pathlib import Path

import pytest

from mrcontrast.config.logs import counted
from toy.runs import toy_run


def test_lines_say_step_pace_and_score(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="mrcontrast"):
        toy_run(tmp_path, "a", "stage=toy_autoencoder", "callbacks.progress.every_seconds=0")
    lines = [
        record.getMessage()
        for record in caplog.records
        if record.name == "mrcontrast.training.callbacks.progress"
    ]
    assert lines[0] == "Training ToyAutoencoder (10 of 10 parameters) on cpu, step 0 to 4"
    assert sum("train/loss" in line for line in lines) == 4
    assert sum("val/loss" in line and "s left" in line for line in lines) >= 2


def test_the_time_left_ends_with_max_time(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    options = ["trainer.max_steps=100000", "trainer.max_time=00:00:00:03"]
    options += ["stage.seconds_a_step=0.5", "trainer.val_check_interval=2"]
    with caplog.at_level(logging.INFO, logger="mrcontrast"):
        toy_run(
            tmp_path, "a", "stage=toy_autoencoder", "callbacks.progress.every_seconds=0", *options
        )
    left = [re.search(r"  (\d+) s left", record.getMessage()) for record in caplog.records]
    seconds = [int(found[1]) for found in left if found]
    assert len(seconds) >= 4
    assert max(seconds) <= 3
    assert seconds == sorted(seconds, reverse=True)


def test_lines_come_soon_and_then_ever_more_rarely(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    moments = []
    with caplog.at_level(logging.INFO, logger="mrcontrast"):
        for item in counted(range(10_000), "translated", 10_000):
            now = 10.0 * (item + 1)
            if len(caplog.records) > len(moments):
                moments.append(item)
    first, *_, last = (record.getMessage() for record in caplog.records)
    assert first == "translated 3 of 10000, 27 h 46 min left"
    gaps = [b - a for a, b in pairwise(moments)]
    assert gaps[0] == 3  # 30 s
    assert max(gaps) == 30  # 5 min
    assert gaps == sorted(gaps)
    assert last.startswith("translated 99")
