"""Connect to MLflow: a SQLite file or a server."""

import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mrcontrast.errors import MrcontrastError, one_line
from mrcontrast.storage.folder_lock import held

if TYPE_CHECKING:
    from mlflow import MlflowClient

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# By default MLflow tries seven times for two minutes each, which would hold a training up.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

SQLITE = "sqlite:///"
# The web page opens an experiment of this kind on its runs, not on a page of language models.
KIND = {"mlflow.experimentKind": "custom_model_development"}
LOCK_SECONDS = 60.0
ORIGIN = ("stage", "data_hash", "split_hash", "weights_sha256")


def default_uri() -> str:
    """Return the store of all commands: MLFLOW_TRACKING_URI, else the outputs' database."""
    outputs = os.environ.get("MRCONTRAST_OUTPUTS", "outputs")
    fallback = f"{SQLITE}{outputs}/mlflow/mlflow.db"
    return absolute_uri(os.environ.get("MLFLOW_TRACKING_URI") or fallback)


def connect(uri: str) -> "MlflowClient":
    """Open a store; a database is created with its folder, by one process at a time.

    MLflow creates the tables when it connects, which fails in the second of two processes.
    """
    from mlflow import MlflowClient

    for chatty in ("alembic", "mlflow"):
        logging.getLogger(chatty).setLevel(logging.WARNING)  # MLflow set its own on import
    with store_errors(uri), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # MLflow's own use of SQLAlchemy
        if not uri.startswith(SQLITE):
            return MlflowClient(uri, registry_uri=uri)
        database = Path(uri.removeprefix(SQLITE))
        database.parent.mkdir(parents=True, exist_ok=True)
        with held(database.with_name(f".{database.name}.lock"), LOCK_SECONDS):
            return MlflowClient(uri, registry_uri=uri)


@contextmanager
def store_errors(uri: str) -> Iterator[None]:
    """Raise MrcontrastError where a store does not answer or rejects a call."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (OSError, MlflowException) as error:
        reason = one_line(error, most=300)
        raise MrcontrastError(
            f"Expected an MLflow store, got: {reason} ({uri}). "
            "Start its server, set logger.tracking_uri, or add logger=none."
        ) from error


def absolute_uri(uri: str) -> str:
    """Make the path of a SQLite address absolute, to mean one file in every folder."""
    if not uri.startswith(SQLITE):
        return uri
    return SQLITE + str(Path(uri.removeprefix(SQLITE)).resolve())


def artifact_location(uri: str) -> str | None:
    """Return the folder of artifacts next to a database; None where the server chooses."""
    if not uri.startswith(SQLITE):
        return None
    return str(Path(uri.removeprefix(SQLITE)).parent / "artifacts")


def experiment_id(client: "MlflowClient", uri: str, name: str) -> str:
    """Return the id of an experiment, created if absent."""
    from mlflow.exceptions import MlflowException

    with store_errors(uri):
        try:
            if (found := client.get_experiment_by_name(name)) is None:
                return client.create_experiment(name, artifact_location(uri), tags=KIND)
        except MlflowException:
            found = client.get_experiment_by_name(name)  # another process was faster
            if found is None:
                raise
    return found.experiment_id


def origin_tags(origin: Mapping[str, Any]) -> dict[str, str]:
    """Return the provenance of a run as tags, to search for."""
    found = {key: origin.get(key) for key in ORIGIN} | (origin.get("parents") or {})
    tags = {f"mrcontrast.{key}": value for key, value in found.items()}
    tags["mlflow.source.git.commit"] = origin.get("git_sha")
    return {key: str(value) for key, value in tags.items() if value}
