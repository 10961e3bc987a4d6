"""A run's metrics as one CSV file in its folder."""

import csv
import io
import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from errno import ENOSPC
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.rank_zero import rank_zero_only

log = logging.getLogger(__name__)


class CsvMetrics(Logger):
    """Append metrics as rows of step, metric, value to a file in an existing folder.

    After a kill the steps since the last checkpoint are there twice; the later rows count.
    """

    name = "csv"
    version = ""  # a run folder holds one file, however often it is resumed

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        self.path = Path(path)
        self.warned = False

    def log_hyperparams(self, params: Any) -> None:  # noqa: ANN401
        """Do nothing: the config is in the same folder."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append one row for each metric, or none with a warning if the disk is full."""
        rows = io.StringIO()
        writer = csv.writer(rows)
        if not self.path.exists() or not self.path.stat().st_size:
            writer.writerow(["step", "metric", "value"])
        writer.writerows([step, name, f"{value:.9g}"] for name, value in metrics.items())
        try:
            append(self.path, rows.getvalue())
        except OSError as error:
            if not self.warned:
                told = "A metrics row is lost, training goes on: %s (%s). Free some space."
                log.warning(told, error.strerror or error, self.path)
            self.warned = True


def append(path: Path, text: str) -> None:
    """Append text to a file, whole or not at all."""
    with path.open("ab", buffering=0) as file:
        length = file.tell()
        try:
            data = text.encode()
            if file.write(data) != len(data):
                raise OSError(ENOSPC, os.strerror(ENOSPC))
        except OSError:
            with suppress(OSError):
                file.truncate(length)
            raise
