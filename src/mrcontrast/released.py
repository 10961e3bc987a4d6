"""The trained models that come with the package, by name."""

from collections.abc import Mapping
from pathlib import Path

from mrcontrast.config_errors import suggestion
from mrcontrast.errors import UsageError
from mrcontrast.given import is_missing
from mrcontrast.run_folder import RunFolder

MODELS = Path(__file__).resolve().parent / "models"
MAIN_RUN = "controlnet"  # what the name of a model alone means
CONFIG = "config.yaml"  # what makes a folder a run


def open_run(reference: str | Path) -> RunFolder:
    """Return the run that a folder or the name of a released model means.

    Args:
        reference: A run folder, or one that holds a model with its ControlNet; else "NAME" for the
            ControlNet of a released model, or "NAME/RUN" for another of its runs, such as
            "phantom-2d/unet".
    """
    folder = Path(reference)
    for place in (folder, folder / MAIN_RUN):
        if (place / CONFIG).is_file():
            return RunFolder(place)
    return RunFolder(released_run(str(reference)) or folder)


def released_run(reference: str) -> Path | None:
    """Return the folder of a released run, "NAME" or "NAME/RUN"; None if none has that name."""
    name, _, run = reference.partition("/")
    folder = MODELS / name / (run or MAIN_RUN)
    return folder if name and folder.is_dir() else None


def refuse_missing_runs(references: Mapping[str, str | None]) -> None:
    """Refuse runs that are not there and that no released model is named like.

    Args:
        references: By the option or key that gave them; others, such as "runs:/ID", pass.

    Raises:
        UsageError: One is not there; it is named with its option, and what is there with it.
    """
    for option, reference in references.items():
        if is_missing(reference) and released_run(str(reference)) is None:
            models = released_models()
            meant = suggestion(str(reference), [*models, *released_runs()])
            raise UsageError(
                f"Expected a run folder or a released model ({', '.join(models)}), got none "
                f"({reference}).{meant} Check the path of {option}."
            )


def released_runs() -> list[str]:
    """Return the names of all released runs, such as "phantom-2d/unet"."""
    return sorted(
        path.parent.relative_to(MODELS).as_posix() for path in MODELS.glob(f"*/*/{CONFIG}")
    )


def released_models() -> list[str]:
    """Return the names of the released models."""
    return sorted(path.parent.parent.name for path in MODELS.glob(f"*/{MAIN_RUN}/{CONFIG}"))
