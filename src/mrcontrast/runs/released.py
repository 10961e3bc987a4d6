"""Runs by reference: released with the package, in a folder, or known to MLflow."""

import os
from collections.abc import Mapping
from pathlib import Path

from mrcontrast.config.arguments import is_missing
from mrcontrast.config.errors import suggestion
from mrcontrast.errors import UsageError

MODELS = Path(__file__).resolve().parents[1] / "models"
MAIN_RUN = "controlnet"  # what the name of a model alone means
RUNS, REGISTERED = "runs:/", "models:/"  # how a reference to MLflow begins
CONFIG = "config.yaml"  # what makes a folder a run


def released_run(reference: str) -> Path | None:
    """Return the folder of a released run, "NAME" or "NAME/RUN"; None if none has that name."""
    name, _, run = reference.partition("/")
    is_path = not name or not {os.curdir, os.pardir}.isdisjoint(reference.split("/"))
    folder = MODELS / name / (run or MAIN_RUN)
    return None if is_path or not (folder / CONFIG).is_file() else folder


def check_runs_exist(references: Mapping[str, str | None]) -> None:
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
