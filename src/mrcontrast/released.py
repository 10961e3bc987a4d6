"""The trained models that come with the package, by name."""

from pathlib import Path

from mrcontrast.run_folder import RunFolder

MODELS = Path(__file__).resolve().parent / "models"
MAIN_RUN = "controlnet"  # what the name of a model alone means


def open_run(reference: str | Path) -> RunFolder:
    """Return the run that a folder or the name of a released model means.

    Args:
        reference: A folder; "NAME" for the ControlNet of a released model, or "NAME/RUN" for
            another of its runs, such as "phantom-2d/unet". A folder of that name goes first.
    """
    if not Path(reference).exists():
        name, _, run = str(reference).partition("/")
        folder = MODELS / name / (run or MAIN_RUN)
        if name and folder.is_dir():
            return RunFolder(folder)
    return RunFolder(reference)


def released_models() -> list[str]:
    """Return the names of the released models."""
    return sorted(path.parent.parent.name for path in MODELS.glob(f"*/{MAIN_RUN}/config.yaml"))
