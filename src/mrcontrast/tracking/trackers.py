"""Record a training in MLflow: one run with settings, metrics, pictures and status."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from omegaconf import DictConfig, OmegaConf

from mrcontrast.errors import MrcontrastError, one_line
from mrcontrast.runs.folder import RunFolder
from mrcontrast.runs.identity import flat
from mrcontrast.tracking.no_tracker import NoTracker
from mrcontrast.tracking.outbox import OUTBOX, Outbox, keep_waiting
from mrcontrast.tracking.registry import FOLDER_TAG
from mrcontrast.tracking.store import absolute_uri, connect, experiment_id, store_errors

log = logging.getLogger(__name__)

ERROR_TAG = "mrcontrast.error"
MOST_ERROR = 500  # characters
PARENT_TAG = "mlflow.parentRunId"  # MLflow's own name: it nests runs by it


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


@dataclass(eq=False)
class MlflowTracker(NoTracker):
    """Record parameters, tags, metrics, pictures, files and status in MLflow.

    A server must answer when a run begins. If it goes away later, records wait in
    ``mlflow_outbox.jsonl`` of the run folder, and are sent within a minute of its return, at the
    end, when the run goes on, or by ``mrcontrast sync``.

    Args:
        tracking_uri: ``sqlite:///FILE`` (created if absent) or the address of a server.
        experiment_name: Experiment of the run; created if absent.
        run_name: Displayed name of the run.
        parent_run_id: Run above this one, such as that of a sweep.
    """

    tracking_uri: str
    experiment_name: str
    run_name: str
    parent_run_id: str | None = None

    def __post_init__(self) -> None:
        self.tracking_uri = absolute_uri(self.tracking_uri)
        self.takes_up_lost_runs = self.parent_run_id is not None

    def open(self, folder: RunFolder, config: DictConfig, run_id: str | None) -> None:
        """Start a run, or go on with ``run_id`` if it exists; new without a store: MrcontrastError.

        The path of the folder becomes a tag, the resolved config the parameters of a new run.
        """
        self.client = connect(self.tracking_uri)
        if run_id is not None and self.may_have(run_id):
            self.take_up(run_id, folder)
            return
        found: list[Any] = []
        tags = tags_of(folder.path, self.parent_run_id)
        experiment = experiment_id(self.client, self.tracking_uri, self.experiment_name)
        with store_errors(self.tracking_uri):
            if self.takes_up_lost_runs:  # killed before its id was stored in the folder
                found = self.client.search_runs([experiment], having(tags), max_results=1)
            if found:
                self.take_up(found[0].info.run_id, folder)
            else:
                keep_waiting(folder.path / OUTBOX)
                run = self.client.create_run(experiment, tags=tags, run_name=self.run_name)
                self.attach(run.info.run_id, folder)
        plain: Any = OmegaConf.to_container(config)
        self.outbox.parameters(flat(plain, "/"))

    def attach(self, run_id: str, folder: RunFolder) -> None:
        """Send all further records to a run."""
        self.run_id = run_id
        self.outbox = Outbox(self.client, run_id, folder.path / OUTBOX, self.tracking_uri)

    def take_up(self, run_id: str, folder: RunFolder) -> None:
        """Go on with a run, after the records that wait for it."""
        self.attach(run_id, folder)
        self.outbox.flush()
        self.outbox.status("RUNNING")

    def take_up_open(self, folder: RunFolder, run_id: str | None) -> bool:
        """Go on with the run of a finished training, and return whether it is still open.

        A kill between the end of a training and that of its record leaves one open. A store that
        does not answer or has no such run is ignored.
        """
        from mlflow.exceptions import MlflowException

        if run_id is None:
            return False
        try:
            self.client = connect(self.tracking_uri)
            self.attach(run_id, folder)
            self.outbox.flush()
            info = self.client.get_run(run_id).info
        except (MlflowException, MrcontrastError):
            return False
        return info.lifecycle_stage == "active" and info.status != "FINISHED"

    def may_have(self, run_id: str) -> bool:
        """Return whether the store has a run, or does not answer."""
        from mlflow.exceptions import MlflowException

        try:
            return self.client.get_run(run_id).info.lifecycle_stage == "active"
        except MlflowException as error:
            return error.get_http_status_code() >= 500

    def kill_lost_children(self, is_alive: Callable[[str], bool]) -> None:
        """Set runs below this one to KILLED that are RUNNING without a process."""
        from mlflow.exceptions import MlflowException

        assert self.run_id is not None
        above = [self.run_id]
        try:
            experiment = self.client.get_run(self.run_id).info.experiment_id
            while above:
                wanted = having({PARENT_TAG: above.pop()})
                for run in self.client.search_runs([experiment], wanted, max_results=10_000):
                    above.append(run.info.run_id)
                    lost = not is_alive(run.data.tags.get(FOLDER_TAG, ""))
                    if run.info.status == "RUNNING" and lost:
                        self.client.set_terminated(run.info.run_id, "KILLED")
        except MlflowException as error:  # the next start of the sweep tries again
            log.warning("MLflow does not answer: %s", one_line(error, most=200))

    def note_failed_child(self, folder: Path, error: str) -> None:
        """Record a job that failed before it had a run, as a FAILED run below this one."""
        from mlflow.exceptions import MlflowException

        assert self.run_id is not None
        tags = tags_of(folder, self.run_id)
        try:
            experiment = self.client.get_run(self.run_id).info.experiment_id
            if self.client.search_runs([experiment], having(tags), max_results=1):
                return
            tags[ERROR_TAG] = error[:MOST_ERROR]
            run = self.client.create_run(experiment, tags=tags, run_name=folder.name)
            self.client.set_terminated(run.info.run_id, "FAILED")
        except MlflowException as failure:  # the sweep's own files record it too
            log.warning("MLflow does not answer: %s", one_line(failure, most=200))

    def loggers(self) -> list[Logger]:
        """Return the logger of the open run."""
        return [RunMetrics(self.outbox)]

    def log_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags of the run."""
        self.outbox.tags(tags)

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Store metrics of a step."""
        self.outbox.metrics(metrics, step)

    def log_file(self, path: Path, folder: str | None = None) -> None:
        """Store a file with the run."""
        self.outbox.artifact(path, folder)

    def close(self, status: str) -> None:
        """Set FINISHED, FAILED or KILLED, and report records that still wait."""
        self.outbox.status(status)
        if not self.outbox.flush():
            path = self.outbox.path
            log.warning(
                "MLflow did not answer at the end: %d records wait (%s). `mrcontrast sync %s` "
                "sends them.",
                *(len(self.outbox.waiting()), path, path.parent),
            )


def tags_of(folder: Path, parent_run_id: str | None) -> dict[str, str]:
    """Return the tags that identify a run: its folder, and the run above it."""
    parent = {} if parent_run_id is None else {PARENT_TAG: parent_run_id}
    return {FOLDER_TAG: str(folder.resolve()), **parent}


def having(tags: Mapping[str, str]) -> str:
    """Return MLflow's filter for runs with all these tags."""
    return " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
