"""Runs by reference: released with the package, in a folder, or known to MLflow."""

from pathlib import Path

from mrcontrast.errors import UsageError
from mrcontrast.runs.folder import RunFolder
from mrcontrast.runs.released import CONFIG, MAIN_RUN, REGISTERED, RUNS, released_run
from mrcontrast.tracking.registry import folder_of


def open_run(reference: str | Path) -> RunFolder:
    """Return the run that a reference means.

    Args:
        reference: "NAME" for the ControlNet of a released model, "NAME/RUN" for another of its
            runs, such as "phantom-2d/unet"; "runs:/ID" or "models:/NAME@ALIAS" of MLflow; else a
            run folder, or one that holds a model with its ControlNet. A folder with the name of a
            released model is "./NAME"; a ``Path`` is always a folder.

    Raises:
        MrcontrastError: MLflow does not know the run or model.
        UsageError: The reference is empty, or to MLflow and malformed.
    """
    text = str(reference)
    if not text:
        raise UsageError("Expected a model or run, got an empty name. Check the variable.")
    if text.startswith((RUNS, REGISTERED)):
        return RunFolder(folder_of(text))
    released = None if isinstance(reference, Path) else released_run(text)
    if released is not None:
        return RunFolder(released)
    folder = Path(reference)
    for place in (folder, folder / MAIN_RUN):
        if (place / CONFIG).is_file():
            return RunFolder(place)
    return RunFolder(folder)
