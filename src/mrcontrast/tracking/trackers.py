"""What a training tells MLflow: one run, with its settings, metrics, pictures and status."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, OmegaConf

from mrcontrast.errors import MrcontrastError, one_line
from mrcontrast.runs.folder import RunFolder
from mrcontrast.tracking.no_tracker import NoTracker
from mrcontrast.tracking.outbox import OUTBOX, Outbox, keep_waiting
from mrcontrast.tracking.registry import FOLDER_TAG
from mrcontrast.tracking.run_metrics import RunMetrics
from mrcontrast.tracking.store import absolute_uri, connect, experiment_id, no_store

log = logging.getLogger(__name__)

ERROR_TAG = "mrcontrast.error"
MOST_ERROR = 500  # characters
PARENT_TAG = "mlflow.parentRunId"  # MLflow's own name: it nests runs by it


class MlflowTracker(NoTracker):
    """Keep a record in MLflow: parameters, tags, metrics, pictures, files and status.

    A server must answer when a run begins. If it goes away later, records wait in
    ``mlflow_outbox.jsonl`` of the run folder and are sent when it is back: within a minute, at the
    end, when the run goes on, or by ``mrcontrast sync``.

    Args:
        tracking_uri: ``sqlite:///FILE`` (made if absent) or the address of a server.
        experiment_name: Experiment that the run belongs to; made if absent.
        run_name: Name that the run is shown by.
        parent_run_id: Run that this one is a part of, such as that of a sweep.
    """

    def __init__(
        self,
        tracking_uri: str,
        experiment_name: str,
        run_name: str,
        parent_run_id: str | None = None,
    ) -> None:
        self.tracking_uri = absolute_uri(tracking_uri)
        self.experiment_name = experiment_name
        self.run_name = run_name
        self.parent_run_id = parent_run_id
        self.takes_up_lost_runs = parent_run_id is not None

    def open(self, folder: RunFolder, config: DictConfig, run_id: str | None) -> None:
        """Start a run, or go on with the one that a stopped training had.

        Args:
            folder: Its path becomes a tag; records that wait lie in it.
            config: Resolved; becomes the parameters of a new run.
            run_id: Run to go on with, if it still exists.

        Raises:
            MrcontrastError: A new run is wanted and the store does not answer.
        """
        self.client = connect(self.tracking_uri)
        outbox = folder.path / OUTBOX
        if run_id is not None and self.may_have(run_id):
            self.take_up(run_id, outbox)
            return
        if (earlier := self.lost_run(folder)) is not None:
            self.take_up(earlier, outbox)
        else:
            keep_waiting(outbox)
            self.run_id = self.new_run(folder)
            self.outbox = Outbox(self.client, self.run_id, outbox, self.tracking_uri)
        self.outbox.parameters(flat(OmegaConf.to_container(config)))

    def take_up(self, run_id: str, outbox: Path) -> None:
        """Go on with a run; what waits for it is sent first."""
        self.run_id = run_id
        self.outbox = Outbox(self.client, run_id, outbox, self.tracking_uri)
        self.outbox.flush()
        self.outbox.status("RUNNING")

    def take_up_open(self, folder: RunFolder, run_id: str | None) -> bool:
        """Go on with the run of a finished training if it does not say FINISHED.

        A kill between the end of a training and that of its record leaves one. A store that does
        not answer or has no such run is left alone.

        Returns:
            Whether the run is open now.
        """
        from mlflow.exceptions import MlflowException

        if run_id is None:
            return False
        try:
            self.client = connect(self.tracking_uri)
            self.run_id = run_id
            self.outbox = Outbox(self.client, run_id, folder.path / OUTBOX, self.tracking_uri)
            self.outbox.flush()
            info = self.client.get_run(run_id).info
        except (MlflowException, MrcontrastError):
            return False
        return info.lifecycle_stage == "active" and info.status != "FINISHED"

    def may_have(self, run_id: str) -> bool:
        """Return whether the store knows a run, or does not answer and so does not deny it."""
        from mlflow.exceptions import MlflowException

        try:
            return self.client.get_run(run_id).info.lifecycle_stage == "active"
        except MlflowException as error:
            return error.get_http_status_code() >= 500

    def lost_run(self, folder: RunFolder) -> str | None:
        """Return the run of this folder that was killed before the folder named it.

        Only in sweeps, where a folder belongs to one run; elsewhere it may be trained in anew.
        """
        from mlflow.exceptions import MlflowException

        if not self.takes_up_lost_runs:
            return None
        tags = tags_of(folder.path, self.parent_run_id)
        experiment = experiment_id(self.client, self.tracking_uri, self.experiment_name)
        try:
            found = self.client.search_runs([experiment], having(tags), max_results=1)
        except MlflowException as error:
            raise no_store(self.tracking_uri, error) from error
        return found[0].info.run_id if found else None

    def new_run(self, folder: RunFolder) -> str:
        """Start a run and return its id."""
        from mlflow.exceptions import MlflowException

        tags = tags_of(folder.path, self.parent_run_id)
        experiment = experiment_id(self.client, self.tracking_uri, self.experiment_name)
        try:
            run = self.client.create_run(experiment, tags=tags, run_name=self.run_name)
        except MlflowException as error:
            raise no_store(self.tracking_uri, error) from error
        return run.info.run_id

    def kill_lost_children(self, is_alive: Callable[[str], bool]) -> None:
        """Set KILLED for runs below this one that say RUNNING and have no process any more.

        Args:
            is_alive: Tells it of the folder that a run names.
        """
        from mlflow.exceptions import MlflowException

        assert self.run_id is not None
        above = [self.run_id]
        try:
            experiment = self.client.get_run(self.run_id).info.experiment_id
            while above:
                asked = having({PARENT_TAG: above.pop()})
                for run in self.client.search_runs([experiment], asked, max_results=10_000):
                    above.append(run.info.run_id)
                    lost = not is_alive(run.data.tags.get(FOLDER_TAG, ""))
                    if run.info.status == "RUNNING" and lost:
                        self.client.set_terminated(run.info.run_id, "KILLED")
        except MlflowException as error:  # the next start of the sweep looks again
            log.warning("MLflow does not answer: %s", one_line(error, most=200))

    def note_failed_child(self, folder: Path, error: str) -> None:
        """Record a job that failed before it had a run: one below this, FAILED, with the error.

        Args:
            folder: Of the job; a run that names it is left as it is.
            error: One line.
        """
        from mlflow.exceptions import MlflowException

        assert self.run_id is not None
        tags = tags_of(folder, self.run_id)
        try:
            experiment = self.client.get_run(self.run_id).info.experiment_id
            if self.client.search_runs([experiment], having(tags), max_results=1):
                return
            told = tags | {ERROR_TAG: error[:MOST_ERROR]}
            run = self.client.create_run(experiment, tags=told, run_name=folder.name)
            self.client.set_terminated(run.info.run_id, "FAILED")
        except MlflowException as failure:  # the sweep's own files tell it in any case
            log.warning("MLflow does not answer: %s", one_line(failure, most=200))

    def loggers(self) -> list[Logger]:
        """Return the logger of the open run."""
        return [RunMetrics(self.outbox)]

    def log_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags of the run."""
        self.outbox.tags(tags)

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Store metrics."""
        self.outbox.metrics(metrics, step)

    def log_file(self, path: Path, folder: str | None = None) -> None:
        """Store a file beside the run."""
        self.outbox.artifact(path, folder)

    def close(self, status: str) -> None:
        """Set FINISHED, FAILED or KILLED, and say what still waits."""
        self.outbox.status(status)
        if not self.outbox.flush():
            log.warning(
                "MLflow did not answer at the end: %d records wait (%s). `mrcontrast sync %s` "
                "sends them.",
                len(self.outbox.waiting()),
                self.outbox.path,
                self.outbox.path.parent,
            )


def tags_of(folder: Path, parent_run_id: str | None) -> dict[str, str]:
    """Return the tags by which a run is found again: its folder, and the run that it is below."""
    parent = {} if parent_run_id is None else {PARENT_TAG: parent_run_id}
    return {FOLDER_TAG: str(folder.resolve()), **parent}


def having(tags: Mapping[str, str]) -> str:
    """Return MLflow's filter of the runs that have all these tags.

    >>> having({"a": "1", "b": "2"})
    "tags.`a` = '1' and tags.`b` = '2'"
    """
    return " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())


def flat(node: Any, key: str = "") -> dict[str, Any]:  # noqa: ANN401 - any nest of plain values
    """Return the leaves of a nest of dicts by their path.

    >>> flat({"stage": {"lr": 0.1, "channels": [8, 16]}})
    {'stage/lr': 0.1, 'stage/channels': [8, 16]}
    """
    if not isinstance(node, dict):
        return {key: node}
    inner = (flat(value, f"{key}/{name}" if key else str(name)) for name, value in node.items())
    return {path: value for part in inner for path, value in part.items()}
