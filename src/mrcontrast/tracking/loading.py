"""From a run folder, an MLflow run or a registered model back to a stage."""

from pathlib import Path

import torch
from lightning import LightningModule

from mrcontrast.config import build_stage
from mrcontrast.errors import MrcontrastError, one_line
from mrcontrast.released import open_run
from mrcontrast.run_folder import RunFolder
from mrcontrast.tracking.registry import MODELS, fetch_model
from mrcontrast.tracking.store import connect, default_uri
from mrcontrast.tracking.trackers import FOLDER_TAG

RUNS = "runs:/"


def load_stage(reference: str | Path, device: str = "cpu") -> LightningModule:
    """Rebuild the stage of a finished run, ready to translate.

    Args:
        reference: Run folder, ``runs:/ID`` or ``models:/NAME@ALIAS`` of MLflow.
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
        reason = one_line(error)
        raise MrcontrastError(
            f"Expected weights that fit config.yaml, got: {reason} ({folder.path}). Train it again."
        ) from error
    return stage.to(device).eval()


def find_run(reference: str) -> RunFolder:
    """Return the run that a folder, a released model, ``runs:/ID`` or ``models:/NAME@ALIAS`` means.

    Raises:
        MrcontrastError: MLflow does not know the run or model, or its folder is gone.
    """
    from mlflow.exceptions import MlflowException

    if reference.startswith(MODELS):
        return RunFolder(fetch_model(reference, default_uri()))
    if not reference.startswith(RUNS):
        return open_run(reference)
    uri = default_uri()
    run_id = reference.removeprefix(RUNS).split("/")[0]  # what follows names an artifact
    try:
        tags = connect(uri).get_run(run_id).data.tags
        return RunFolder(tags[FOLDER_TAG])
    except (MlflowException, KeyError) as error:
        raise MrcontrastError(
            f"Expected a run of mrcontrast, got none of this name ({reference} in {uri}). "
            "Set MLFLOW_TRACKING_URI or name the run folder."
        ) from error
