"""``mrcontrast register``: a finished run as a version of a named model in MLflow's registry."""

import sys
import tempfile
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import OmegaConf

from mrcontrast import __version__
from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.runs.folder import RunFolder
from mrcontrast.tracking.references import open_run
from mrcontrast.tracking.registry import FOLDER_TAG, registry_at
from mrcontrast.tracking.store import (
    absolute_uri,
    connect,
    default_uri,
    experiment_id,
    origin_tags,
    store_errors,
)

if TYPE_CHECKING:
    from mlflow.entities import Run


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of ``mrcontrast register``."""
    add = parser.add_argument
    add("run", metavar="RUN", help="a finished run; takes the references of `translate --model`")
    add("--name", required=True, help="name of the model, such as t2w-to-pd")
    add("--alias", default="best", help="`translate --model models:/NAME@ALIAS` (%(default)s)")
    add("--tracking-uri", metavar="URI", help="registry, if the run was recorded elsewhere")


def run(args: Namespace) -> int:
    """Run ``mrcontrast register`` and return exit code 0."""
    if not args.name or set(args.name) & set("/:@"):
        raise UsageError(
            f"Expected a name without / : and @, got {args.name!r} (--name). Change it."
        )
    folder = open_run(args.run)
    folder.verify()
    uri = absolute_uri(args.tracking_uri) if args.tracking_uri else uri_of(folder)
    before = alias_of(args.name, args.alias, uri)
    version = register(folder, args.name, args.alias, uri)
    moved = "" if before is None else f", was version {before},"
    sys.stdout.write(f"models:/{args.name}@{args.alias}: version {version}{moved} in {uri}\n")
    return 0


def alias_of(name: str, alias: str, uri: str) -> str | None:
    """Return the version of an alias; None if there is none, or no answer."""
    from mlflow.exceptions import MlflowException

    try:
        return str(connect(uri).get_model_version_by_alias(name, alias).version)
    except MlflowException:
        return None


def uri_of(folder: RunFolder) -> str:
    """Return the store of all commands.

    A run recorded elsewhere may have a folder from elsewhere, so its user has to choose:
    UsageError.
    """
    recorded, usual = OmegaConf.select(folder.config, "logger.tracking_uri"), default_uri()
    if recorded is not None and absolute_uri(str(recorded)) != usual:
        raise UsageError(
            f"Expected a run that was recorded in {usual}, got one recorded in {recorded} "
            f"({folder.config_path}). Add --tracking-uri URI to choose."
        )
    return usual


def register(folder: RunFolder, name: str, alias: str, uri: str) -> str:
    """Store a run as a new version of a model, and return the version's number.

    The model is served by ``mlflow.pyfunc`` too: sources on the model's own grid in, the target
    out, with signature and example. Nothing is pickled: the code is the installed package.
    """
    from mrcontrast.inference.training_grid import trained_on

    folder.verify()
    source = (folder.provenance.get("data") or {}).get("source", ())
    trained_on(folder, source, 1)  # raises for a run without a grid
    client = connect(uri)
    with store_errors(uri):
        version = store(folder, name, uri)
        client.set_registered_model_alias(name, alias, version)
        tags = origin_tags(folder.provenance) | {FOLDER_TAG: str(folder.path.resolve())}
        for key, value in tags.items():
            client.set_model_version_tag(name, version, key, value)
    return version


def store(folder: RunFolder, name: str, uri: str) -> str:
    """Log the model under its run and return its version."""
    import mlflow
    from mlflow.models import Model

    run = run_of(folder, uri)
    experiment = run.info.experiment_id
    with tempfile.TemporaryDirectory() as staging, registry_at(uri, experiment):
        from mrcontrast.inference import registered_model  # MLflow warns on its import

        files = folder.copy_alone(Path(staging) / "run").path
        info = Model.log(
            artifact_path=None,
            name="model",
            flavor=mlflow.pyfunc,
            run_id=run.info.run_id,
            registered_model_name=name,
            python_model=registered_model.__file__,
            artifacts={"run": str(files)},
            signature=registered_model.signature_of(folder),
            input_example=registered_model.example_of(folder),
            pip_requirements=[f"mrcontrast=={__version__}"],
        )
    if info.registered_model_version is None:
        raise MrcontrastError(
            f"Expected a version of {name}, got none ({uri}). Look at the registry."
        )
    return str(info.registered_model_version)


def run_of(folder: RunFolder, uri: str) -> "Run":
    """Return the MLflow run of a run folder, created if the store has none."""
    from mlflow.exceptions import MlflowException

    client, run_id = connect(uri), folder.provenance.get("mlflow_run_id")
    try:
        if run_id is not None:
            return client.get_run(run_id)
    except MlflowException as error:
        if error.get_http_status_code() != 404:
            raise
    experiment = experiment_id(client, uri, "mrcontrast")
    tags = {FOLDER_TAG: str(folder.path.resolve())}
    made = client.create_run(experiment, tags=tags, run_name=folder.path.name)
    client.set_terminated(made.info.run_id, "FINISHED")
    return made
