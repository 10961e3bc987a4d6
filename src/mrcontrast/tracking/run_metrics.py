"""Lightning's logger for the MLflow record of a run."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from mrcontrast.errors import MrcontrastError, one_line
from mrcontrast.tracking.outbox import Outbox

log = logging.getLogger(__name__)


class RunMetrics(Logger):
    """Send metrics and pictures; the tracker sets parameters and status."""

    name = "mlflow"

    def __init__(self, outbox: Outbox) -> None:
        super().__init__()
        self.outbox = outbox
        self.warned = False

    @property
    def version(self) -> str:
        """Id of the run."""
        return self.outbox.run_id

    def log_hyperparams(self, params: Any) -> None:  # noqa: ANN401 - Lightning's own type
        """Do nothing: the tracker sends them when the run begins."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Send metrics of a step."""
        with self.disk_may_be_full():
            self.outbox.metrics(metrics, step or 0)

    @rank_zero_only
    def log_picture(self, path: Path) -> None:
        """Send a picture."""
        with self.disk_may_be_full():
            self.outbox.artifact(path, "pictures")

    @contextmanager
    def disk_may_be_full(self) -> Iterator[None]:
        """Warn once instead of ending the training when a record can be kept nowhere."""
        try:
            yield
        except (OSError, MrcontrastError) as error:
            if not self.warned:
                log.warning("A record for MLflow is lost, training goes on: %s", one_line(error))
            self.warned = True
