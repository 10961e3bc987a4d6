"""Records of a run outside its folder (MLflow), and the way from a record back to a stage."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from lightning import LightningModule
from lightning.pytorch.loggers import Logger, MLFlowLogger
from omegaconf import DictConfig, OmegaConf

from mrcontrast.config import build_stage
from mrcontrast.errors import MrcontrastError
from mrcontrast.released import open_run
from mrcontrast.run_folder import RunFolder

if TYPE_CHECKING:
    from mlflow import MlflowClient

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

SQLITE = "sqlite:///"
FOLDER_TAG = "mrcontrast.run_folder"
DEFAULT_URI = "sqlite:///outputs/mlflow/mlflow.db"


class NoTracker:
    """Keep no record but the run folder's own."""

    run_id: str | None = None

    def open(self, folder: RunFolder, config: DictConfig, run_id: str | None) -> None:
        """Do nothing."""

    def loggers(self) -> list[Logger]:
        """Return no logger."""
        return []

    def log_file(self, path: Path) -> None:
        """Do nothing."""

    def close(self, status: str) -> None:
        """Do nothing."""


class MlflowTracker(NoTracker):
    """Keep a record in MLflow: parameters, metrics, pictures, config, provenance and status.

    Args:
        tracking_uri: ``sqlite:///FILE`` (made if absent) or the address of a server.
        experiment_name: Experiment that the run belongs to; made if absent.
        run_name: Name that the run is shown by.
    """

    def __init__(self, tracking_uri: str, experiment_name: str, run_name: str) -> None:
        self.tracking_uri = absolute_uri(tracking_uri)
        self.experiment_name = experiment_name
        self.run_name = run_name

    def open(self, folder: RunFolder, config: DictConfig, run_id: str | None) -> None:
        """Start a run, or go on with the one that a stopped training had.

        Args:
            folder: Its path becomes a tag.
            config: Resolved; becomes the parameters of a new run.
            run_id: Run to go on with, if it still exists.
        """
        self.client = connect(self.tracking_uri)
        if run_id is not None and self.has_run(run_id):
            self.run_id = run_id
            self.client.update_run(run_id, status="RUNNING")
            return
        tags = {FOLDER_TAG: str(folder.path.resolve())}
        run = self.client.create_run(self.experiment_id(), tags=tags, run_name=self.run_name)
        self.run_id = run.info.run_id
        self.metrics_logger().log_hyperparams(OmegaConf.to_container(config))  # type: ignore[arg-type]

    def has_run(self, run_id: str) -> bool:
        """Return whether the server still knows a run."""
        from mlflow.exceptions import MlflowException

        try:
            return self.client.get_run(run_id).info.lifecycle_stage == "active"
        except MlflowException:
            return False

    def experiment_id(self) -> str:
        """Return the experiment, made if absent."""
        from mlflow.exceptions import MlflowException

        for _ in range(2):
            found = self.client.get_experiment_by_name(self.experiment_name)
            if found is not None:
                return found.experiment_id
            try:
                location = artifact_location(self.tracking_uri)
                return self.client.create_experiment(self.experiment_name, location)
            except MlflowException as error:  # another process of a sweep was faster
                reason = error
        raise MrcontrastError(f"Expected an MLflow experiment, got: {reason}. Check the server.")

    def metrics_logger(self) -> "RunMetrics":
        """Return the logger that Lightning writes metrics to."""
        return RunMetrics(tracking_uri=self.tracking_uri, run_id=self.run_id)

    def loggers(self) -> list[Logger]:
        """Return the logger of the open run."""
        return [self.metrics_logger()]

    def log_file(self, path: Path) -> None:
        """Store a file beside the run."""
        self.client.log_artifact(self.run_id, str(path))

    def close(self, status: str) -> None:
        """Set FINISHED, FAILED or KILLED."""
        assert self.run_id is not None
        self.client.set_terminated(self.run_id, status)


class RunMetrics(MLFlowLogger):
    """Lightning's MLflow logger, without its say on the status: a fit is not yet the whole run."""

    def finalize(self, status: str = "success") -> None:
        """Leave the status to the tracker."""


@contextmanager
def recorded(tracker: NoTracker) -> Iterator[None]:
    """Set the status of an open run as its block ends: FINISHED, FAILED or, stopped, KILLED."""
    try:
        yield
    except Exception:
        tracker.close("FAILED")
        raise
    except BaseException:
        tracker.close("KILLED")
        raise
    tracker.close("FINISHED")


def load_stage(reference: str | Path, device: str = "cpu") -> LightningModule:
    """Rebuild the stage of a finished run, ready to translate.

    Args:
        reference: Run folder, or ``runs:/ID`` of MLflow.
        device: "cpu", "cuda", ... or "auto", which takes CUDA where there is one.

    Returns:
        The stage in evaluation mode.

    Raises:
        MrcontrastError: The run is missing, unfinished, changed, or does not fit this version.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    folder = find_run(str(reference))
    weights = folder.read_weights(device)
    stage = build_stage(folder.config.stage)
    try:
        stage.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise MrcontrastError(
            f"Expected weights that fit config.yaml, got: {reason} ({folder.path}). Train it again."
        ) from error
    return stage.to(device).eval()


def find_run(reference: str) -> RunFolder:
    """Return the run that a folder, the name of a released model or ``runs:/ID`` means.

    Raises:
        MrcontrastError: MLflow does not know the run, or its folder is gone.
    """
    from mlflow.exceptions import MlflowException

    if not reference.startswith("runs:/"):
        return open_run(reference)
    uri = absolute_uri(os.environ.get("MLFLOW_TRACKING_URI", DEFAULT_URI))
    try:
        tags = connect(uri).get_run(reference.removeprefix("runs:/")).data.tags
        return RunFolder(tags[FOLDER_TAG])
    except (MlflowException, KeyError) as error:
        raise MrcontrastError(
            f"Expected a run of mrcontrast, got none of this name ({reference} in {uri}). "
            "Set MLFLOW_TRACKING_URI or name the run folder."
        ) from error


def connect(uri: str) -> "MlflowClient":
    """Open a tracking store; a database is made with its folder if absent."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    for chatty in ("alembic", "mlflow"):
        logging.getLogger(chatty).setLevel(logging.WARNING)  # MLflow set its own on import
    try:
        if uri.startswith(SQLITE):
            Path(uri.removeprefix(SQLITE)).parent.mkdir(parents=True, exist_ok=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # MLflow's own use of SQLAlchemy
            return MlflowClient(uri)
    except (OSError, MlflowException) as error:
        reason = " ".join(str(error).split())
        raise MrcontrastError(
            f"Expected an MLflow store, got: {reason} ({uri}). Set logger.tracking_uri."
        ) from error


def absolute_uri(uri: str) -> str:
    """Make the path of a SQLite address absolute, so that it means one file wherever it is read."""
    if not uri.startswith(SQLITE):
        return uri
    return SQLITE + str(Path(uri.removeprefix(SQLITE)).resolve())


def artifact_location(uri: str) -> str | None:
    """Return the folder of artifacts beside a database; None lets a server choose."""
    if not uri.startswith(SQLITE):
        return None
    return str(Path(uri.removeprefix(SQLITE)).parent / "artifacts")
