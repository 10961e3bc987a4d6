"""A run of ``prepare`` in a process of its own that takes its time over each change on disk."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mrcontrast.preparation.dataset import prepare_dataset
from preparation_files import recipe_of
from toy.sources import ToySource

PAUSE_S = 0.02


def prepare_slowly(out: str, subjects: int) -> None:
    """Prepare toy subjects; a pause before each change makes a kill between two of them likely."""
    for name in ("rename", "replace", "unlink", "rmdir", "mkdir"):
        setattr(Path, name, _slowed(getattr(Path, name)))
    recipe = recipe_of(ToySource(("good",) * subjects))
    prepare_dataset(recipe, Path(out), "recipe: test\n", 1, lambda line: None)


def _slowed(real: Callable[..., Any]) -> Callable[..., Any]:
    def slow(*args: Any, **options: Any) -> Any:
        time.sleep(PAUSE_S)
        return real(*args, **options)

    return slow
