"""The trained models that come with the package, by name."""

from collections.abc import Mapping
from pathlib import Path

from mrcontrast.given import refuse_missing
from mrcontrast.run_folder import RunFolder

MODELS = Path(__file__).resolve().parent / "models"
MAIN_RUN = "controlnet"  # what the name of a model alone means


def open_run(reference: str | Path) -> RunFolder:
    """Return the run that a folder or the name of a released model means.

    Args:
        reference: A folder; "NAME" for the ControlNet of a released model, or "NAME/RUN" for
            another of its runs, such as "phantom-2d/unet". A folder of that name goes first.
    """
    named = None if Path(reference).exists() else released_run(str(reference))
    return RunFolder(named or reference)


def released_run(reference: str) -> Path | None:
    """Return the folder of a released run, "NAME" or "NAME/RUN"; None if none has that name."""
    name, _, run = reference.partition("/")
    folder = MODELS / name / (run or MAIN_RUN)
    return folder if name and folder.is_dir() else None


def refuse_missing_runs(references: Mapping[str, str | None]) -> None:
    """Refuse runs that are not there and that no released model is named like.

    Args:
        references: By the option or key that gave them; as ``refuse_missing``.

    Raises:
        UsageError: One is not there; it is named with its option.
    """
    refuse_missing(
        {
            option: reference
            for option, reference in references.items()
            if reference is None or released_run(str(reference)) is None
        }
    )


def released_models() -> list[str]:
    """Return the names of the released models."""
    return sorted(path.parent.parent.name for path in MODELS.glob(f"*/{MAIN_RUN}/config.yaml"))
