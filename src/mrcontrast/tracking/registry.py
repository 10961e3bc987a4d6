"""Find runs and registered models of MLflow, and download them once."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mrcontrast.errors import MrcontrastError, UsageError, one_line
from mrcontrast.runs.released import REGISTERED, RUNS
from mrcontrast.tracking.store import SQLITE, connect, default_uri

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

FOLDER_TAG = "mrcontrast.run_folder"  # of an MLflow run
RUN_FILES = ("config.yaml", "weights.safetensors", "provenance.json")
VARIABLES = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "MLFLOW_EXPERIMENT_ID")
RUN_IN_MODEL = "artifacts/run"  # their folder in a registered model


def folder_of(reference: str) -> Path:
    """Return the run folder of ``runs:/ID`` or ``models:/NAME@ALIAS``."""
    from mlflow.exceptions import MlflowException

    uri = default_uri()
    if reference.startswith(REGISTERED):
        return fetch_model(reference, uri)
    run_id = reference.removeprefix(RUNS).split("/")[0]  # the rest names an artifact
    try:
        return Path(connect(uri).get_run(run_id).data.tags[FOLDER_TAG])
    except (MlflowException, KeyError) as error:
        raise MrcontrastError(
            f"Expected a run of mrcontrast, got none of this name ({reference} in {uri}). "
            "Set MLFLOW_TRACKING_URI or name the run folder."
        ) from error


def fetch_model(reference: str, uri: str) -> Path:
    """Return a folder with the run files of ``models:/NAME@ALIAS`` or ``models:/NAME/VERSION``.

    Those of a server are downloaded once. No such model, or no answer, is MrcontrastError.
    """
    from mlflow.exceptions import MlflowException

    try:
        version = find_version(reference, uri)
        if uri.startswith(SQLITE):  # its files lie next to it
            return Path(download(version, uri)) / RUN_IN_MODEL
        outputs = os.environ.get("MRCONTRAST_OUTPUTS", "outputs")
        name, number = str(version.name), str(version.version)
        if not number.isdigit() or {"/", "\\", ".."} & {name, *name}:  # it becomes a path
            raise MrcontrastError(
                f"Expected the name of a model, got {name} {number} from {uri}. Ask its owner."
            )
        place = Path(outputs) / "cache" / "models" / f"{name}-{number}"
        if not all((place / RUN_IN_MODEL / name).is_file() for name in RUN_FILES):
            place.mkdir(parents=True, exist_ok=True)
            download(version, uri, place)
        return place / RUN_IN_MODEL
    except (MlflowException, OSError) as error:
        reason = one_line(error, most=200)
        raise MrcontrastError(
            f"Expected a registered model, got: {reason} ({reference} in {uri}). "
            "Register one by `mrcontrast register RUN --name NAME`, or set MLFLOW_TRACKING_URI."
        ) from error


def find_version(reference: str, uri: str) -> "ModelVersion":
    """Return the version of a reference; raise UsageError without alias and version."""
    client = connect(uri)
    name, at, alias = reference.removeprefix(REGISTERED).partition("@")
    if at:
        return client.get_model_version_by_alias(name, alias)
    name, _, number = name.rpartition("/")
    if not name or not number.isdigit():
        raise UsageError(
            f"Expected models:/NAME@ALIAS or models:/NAME/VERSION, got {reference}. Correct it."
        )
    return client.get_model_version(name, number)


def download(version: "ModelVersion", uri: str, place: Path | None = None) -> str:
    """Return the folder of a version's files, downloaded to a place if they are not local."""
    from mlflow.artifacts import download_artifacts

    source = f"{REGISTERED}{version.name}/{version.version}"
    with registry_at(uri):
        return download_artifacts(source, dst_path=None if place is None else str(place))


@contextmanager
def registry_at(uri: str, experiment: str | None = None) -> Iterator[None]:
    """Point MLflow's global address at a store, and its artifacts at an experiment's id."""
    import mlflow

    tracking, registry = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    before = {key: os.environ[key] for key in VARIABLES if key in os.environ}
    if experiment is not None:
        os.environ["MLFLOW_EXPERIMENT_ID"] = experiment
    mlflow.set_tracking_uri(uri)  # it sets the variable too
    mlflow.set_registry_uri(uri)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # MLflow's advice on its own types and SQLAlchemy's
            yield
    finally:
        mlflow.set_tracking_uri(tracking)
        mlflow.set_registry_uri(registry)
        for key in VARIABLES:
            os.environ.pop(key, None)
        os.environ.update(before)
