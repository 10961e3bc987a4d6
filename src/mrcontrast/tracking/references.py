"""Open runs by reference: released with the package, in a folder, or recorded by MLflow."""

from pathlib import Path

from mrcontrast.errors import UsageError
from mrcontrast.runs.folder import RunFolder
from mrcontrast.runs.released import CONFIG, MAIN_RUN, REGISTERED, RUNS, released_run
from mrcontrast.tracking.registry import folder_of


def open_run(reference: str | Path) -> RunFolder:
    """Return the run of a reference.

    Args:
        reference: "NAME" for the ControlNet of a released model, "NAME/RUN" for another of its
            runs, such as "phantom-2d/unet"; "runs:/ID" or "models:/NAME@ALIAS" of MLflow; else a
            run folder, or the folder of a model with its ControlNet. A folder with the name of a
            released model is "./NAME"; a ``Path`` is always a folder.

    Raises:
        MrcontrastError: MLflow has no such run or model.
        UsageError: The reference is empty, or malformed.
    """
    text = str(reference)
    if not text:
        raise UsageError("Expected a model or run, got an empty name. Check the variable.")
    if text.startswith((RUNS, REGISTERED)):
        return RunFolder(folder_of(text))
    if not isinstance(reference, Path) and (released := released_run(text)) is not None:
        return RunFolder(released)
    folder = Path(reference)
    is_model = not (folder / CONFIG).is_file() and (folder / MAIN_RUN / CONFIG).is_file()
    return RunFolder(folder / MAIN_RUN if is_model else folder)
