"""Where MLflow keeps its records: a SQLite file or a server."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mrcontrast.errors import MrcontrastError, one_line
from mrcontrast.tracking.locks import held

if TYPE_CHECKING:
    from mlflow import MlflowClient

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# MLflow's own patience, seven attempts of two minutes, would hold a training up for as long.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")

os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

SQLITE = "sqlite:///"
# The web page opens an experiment of this kind on its runs, not on a page of language models.
KIND = {"mlflow.experimentKind": "custom_model_development"}
LOCK_SECONDS = 60.0


def default_uri() -> str:
    """Return the address that commands look at: MLFLOW_TRACKING_URI, else the outputs' database."""
    outputs = os.environ.get("MRCONTRAST_OUTPUTS", "outputs")
    fallback = f"{SQLITE}{outputs}/mlflow/mlflow.db"
    return absolute_uri(os.environ.get("MLFLOW_TRACKING_URI") or fallback)


def connect(uri: str) -> "MlflowClient":
    """Open a tracking store; a database is made with its folder if absent.

    Raises:
        MrcontrastError: It cannot be made.
    """
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    for chatty in ("alembic", "mlflow"):
        logging.getLogger(chatty).setLevel(logging.WARNING)  # MLflow set its own on import
    try:
        with one_maker(uri), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # MLflow's own use of SQLAlchemy
            return MlflowClient(uri, registry_uri=uri)
    except (OSError, MlflowException) as error:
        raise no_store(uri, error) from error


@contextmanager
def one_maker(uri: str) -> Iterator[None]:
    """Make the folder of a SQLite address; let one process at a time make its tables.

    MLflow makes them when it connects; of two trainings that start together the second would fail.
    """
    if not uri.startswith(SQLITE):
        yield
        return
    database = Path(uri.removeprefix(SQLITE))
    database.parent.mkdir(parents=True, exist_ok=True)
    with held(database, LOCK_SECONDS):
        yield


def no_store(uri: str, error: BaseException) -> MrcontrastError:
    """Return the error of a store that does not answer."""
    reason = one_line(error, most=300)
    return MrcontrastError(
        f"Expected an MLflow store, got: {reason} ({uri}). "
        "Start its server, set logger.tracking_uri, or add logger=none."
    )


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


def experiment_id(client: "MlflowClient", uri: str, name: str) -> str:
    """Return the id of an experiment, made if absent.

    Raises:
        MrcontrastError: The store does not answer, or refuses the name.
    """
    from mlflow.exceptions import MlflowException

    reason: Exception | None = None
    for _ in range(2):
        try:
            found = client.get_experiment_by_name(name)
            if found is not None:
                return found.experiment_id
            return client.create_experiment(name, artifact_location(uri), tags=KIND)
        except MlflowException as error:  # another process of a sweep was faster, or no server
            reason = error
    assert reason is not None
    raise no_store(uri, reason) from reason
