"""Paths and numbers that a person has typed: looked at before anything heavy is imported."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mrcontrast.errors import UsageError

LEAST = {  # of whole numbers of a training
    "seed": 0,
    "data.batch_size": 1,
    "data.num_workers": 0,
    "trainer.max_steps": 1,
    "trainer.accumulate_grad_batches": 1,
}
UNLIMITED = {"trainer.max_steps": -1}
POSITIVE = ("stage.optimisation.optimizer.lr", "stage.discriminator_optimisation.optimizer.lr")


def refuse_missing(paths: Mapping[str, Path | str | None]) -> None:
    """Refuse paths that are not there; other references, such as "runs:/ID", pass.

    Args:
        paths: By the option or key that gave them; None was not given.

    Raises:
        UsageError: One is not there; it is named with its option.
    """
    for option, path in paths.items():
        if is_missing(path):
            raise UsageError(
                f"Expected a file or folder, got none ({path}). Check the path of {option}."
            )


def is_missing(path: Path | str | None) -> bool:
    """Return whether a path was given and is not there; other references are never missing."""
    return path is not None and ":/" not in str(path) and not Path(path).exists()


def refuse_numbers(config: Any) -> None:  # noqa: ANN401 - an OmegaConf node, not imported here
    """Refuse numbers of a training that no trainer could use.

    Args:
        config: Of ``mrcontrast train``, resolved.

    Raises:
        UsageError: One is; it is named with its key.
    """
    from omegaconf import OmegaConf

    for key, least in LEAST.items():
        value = OmegaConf.select(config, key)
        whole = isinstance(value, int) and not isinstance(value, bool)
        fits = value is None or (whole and (value >= least or value == UNLIMITED.get(key)))
        if not fits:
            raise UsageError(
                f"Expected a whole number from {least} on, got {value} ({key}). Change it."
            )
    for key in POSITIVE:
        value = OmegaConf.select(config, key)
        if value is not None and not (isinstance(value, int | float) and value > 0):
            raise UsageError(f"Expected a number above 0, got {value} ({key}). Change it.")


def refuse_empty(value: Any, key: str) -> str:  # noqa: ANN401 - whatever was typed
    """Return a folder as typed, unless it is empty, as an unset variable of a shell leaves it.

    Raises:
        UsageError: It is.
    """
    if value is None or not str(value).strip():
        raise UsageError(f"Expected a folder, got none ({key}). Set {key}=FOLDER.")
    return str(value)


def refuse_name(name: Any, key: str, parts: int | None = None) -> None:  # noqa: ANN401 - as typed
    """Refuse a name of a folder that is empty or leads elsewhere.

    Args:
        name: As typed.
        key: For the message.
        parts: Most folders that it may consist of; None: any number.

    Raises:
        UsageError: It does.
    """
    path = Path("" if name is None else str(name).strip())
    inside = path.parts and ".." not in path.parts and not path.is_absolute()
    if not inside or (parts is not None and len(path.parts) > parts):
        raise UsageError(f"Expected the name of a folder, got '{name}' ({key}). Set {key}=NAME.")


def refuse_shared(folder: Path, key: str, shared: Iterable[Path]) -> None:
    """Refuse a folder that holds other things too, or lies above one that does.

    Args:
        folder: As typed.
        key: For the message.
        shared: Folders such as the current one.

    Raises:
        UsageError: It is such a folder.
    """
    path = folder.resolve()
    for other in map(Path.resolve, shared):
        if path == other or path in other.parents:
            raise UsageError(f"Expected a folder of its own, got {path} ({key}). Set {key}=FOLDER.")
