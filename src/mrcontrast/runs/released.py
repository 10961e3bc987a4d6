"""Runs that are released with the package."""

import os
from collections.abc import Mapping
from pathlib import Path

from mrcontrast.config.arguments import is_missing
from mrcontrast.config.errors import suggestion
from mrcontrast.errors import UsageError

MODELS = Path(__file__).resolve().parents[1] / "models"
MAIN_RUN = "controlnet"  # the run that the name of a model alone means
RUNS, REGISTERED = "runs:/", "models:/"  # prefixes of references to MLflow
CONFIG = "config.yaml"  # its presence makes a folder a run


def released_run(reference: str) -> Path | None:
    """Return the folder of a released run, "NAME" or "NAME/RUN"; None if there is none."""
    name, _, run = reference.partition("/")
    is_path = not name or not {os.curdir, os.pardir}.isdisjoint(reference.split("/"))
    folder = MODELS / name / (run or MAIN_RUN)
    return None if is_path or not (folder / CONFIG).is_file() else folder


def check_runs_exist(references: Mapping[str, str | None]) -> None:
    """Raise UsageError for a missing run, by option or key; "runs:/ID" and released ones pass."""
    for option, reference in references.items():
        if is_missing(reference) and released_run(str(reference)) is None:
            models = released_models()
            runs = sorted(path.parent.relative_to(MODELS) for path in MODELS.glob(f"*/*/{CONFIG}"))
            meant = suggestion(str(reference), [*models, *(run.as_posix() for run in runs)])
            raise UsageError(
                f"Expected a run folder or a released model ({', '.join(models)}), got none "
                f"({reference}).{meant} Check the path of {option}."
            )


def released_models() -> list[str]:
    """Return the names of the released models."""
    return sorted(path.parent.parent.name for path in MODELS.glob(f"*/{MAIN_RUN}/{CONFIG}"))
