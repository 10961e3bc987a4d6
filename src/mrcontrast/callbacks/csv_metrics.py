"""A run's metrics as one CSV file in its folder."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.rank_zero import rank_zero_only


class CsvMetrics(Logger):
    """Append metrics as rows of step, metric, value.

    After a kill the steps since the last checkpoint are there twice; the later rows count.

    Args:
        path: The file; made if absent, in a folder that exists.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        self.path = Path(path)

    @property
    def name(self) -> str:
        """Name of the logger."""
        return "csv"

    @property
    def version(self) -> str:
        """Empty: a run folder holds one file, however often it is resumed."""
        return ""

    def log_hyperparams(self, params: Any) -> None:  # noqa: ANN401
        """Do nothing: the config lies beside the file."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append one row for each metric."""
        is_new = not self.path.exists()
        with self.path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if is_new:
                writer.writerow(["step", "metric", "value"])
            writer.writerows([step, name, f"{value:.9g}"] for name, value in metrics.items())
