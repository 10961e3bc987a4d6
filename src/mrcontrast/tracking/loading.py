"""Rebuild the stage of a run."""

from pathlib import Path

import torch
from lightning import LightningModule

from mrcontrast.config.build import build_stage
from mrcontrast.errors import MrcontrastError, UsageError, one_line
from mrcontrast.tracking.references import open_run


def load_stage(reference: str | Path, device: str = "cpu") -> LightningModule:
    """Rebuild the stage of a finished run, in evaluation mode.

    Args:
        reference: See ``open_run``.
        device: "cpu", "cuda", ... or "auto", which is CUDA where available.

    Raises:
        MrcontrastError: The run is missing, unfinished, changed, or does not fit this version.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    folder = open_run(reference)
    weights = folder.read_weights(device)
    config = folder.checked_config()
    try:
        stage = build_stage(config.stage)
    except UsageError as error:
        raise MrcontrastError(f"{one_line(error)} ({folder.config_path})") from error
    if not isinstance(stage, LightningModule):
        raise MrcontrastError(
            f"Expected a stage, got {config.stage._target_} ({folder.config_path}). "
            "Name another run."
        )
    try:
        stage.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        reason = one_line(error)
        raise MrcontrastError(
            f"Expected weights that fit config.yaml, got: {reason} ({folder.path}). Train it again."
        ) from error
    return stage.to(device).eval()
