"""Paths and numbers that a person has typed: looked at before anything heavy is imported."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from mrcontrast.errors import MrcontrastError, UsageError

MOST = 2**31 - 1
MOST_SEED = 2**32 - 1  # NumPy's

Rule = tuple[str, Callable[[Any], bool]]


def whole(least: int, *also: object, most: int = MOST) -> Rule:
    """Return the rule of a whole number from ``least`` on; values in ``also`` pass too."""
    wanted = f"a whole number from {least} on" if most == MOST else f"{least} to {most}"

    def fits(value: Any) -> bool:  # noqa: ANN401 - as typed
        return value in also or (is_whole(value) and least <= value <= most)

    return wanted, fits


def part(least: int) -> Rule:
    """Return the rule of a whole number from ``least`` on, or a part in (0, 1]; 0 as ``least``."""

    def fits(value: Any) -> bool:  # noqa: ANN401 - as typed
        inside = is_number(value) and not is_whole(value) and 0 < value <= 1
        return inside or (is_whole(value) and least <= value <= MOST) or value == least == 0

    return f"a whole number from {least} on or a part in (0, 1]", fits


def number(wanted: str, fits: Callable[[float], bool]) -> Rule:
    """Return the rule of a finite number."""
    return f"a number {wanted}", lambda value: is_number(value) and fits(value)


def is_whole(value: object) -> bool:
    """Return whether a value is a whole number; true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    """Return whether a value is a finite number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def are_devices(value: Any) -> bool:  # noqa: ANN401 - as typed
    """Return whether Lightning can take a value of ``trainer.devices``.

    >>> [are_devices(value) for value in (2, -1, "auto", [0, 1], "0,1", 0, [], [0, 0], "two")]
    [True, True, True, True, True, False, False, False, False]
    """
    if isinstance(value, str):
        numbers = re.fullmatch(r"-1|\d+(,\d+)*,?", value.replace(" ", ""))
        return value == "auto" or (numbers is not None and set(value) != {"0"})
    if isinstance(value, Sequence):
        chosen = list(value)
        return bool(chosen) and all(map(is_natural, chosen)) and len({*chosen}) == len(chosen)
    return is_whole(value) and (value == -1 or value >= 1)


def is_natural(value: object) -> bool:
    """Return whether a value is a whole number from 0 on."""
    return is_whole(value) and value >= 0  # type: ignore[operator]


def is_time(value: object) -> bool:
    """Return whether a value is a time above 0 as Lightning writes it, DD:HH:MM:SS."""
    if isinstance(value, Mapping):
        return True
    found = re.fullmatch(r"\d+:\d+:\d+:\d+", str(value))
    return found is not None and any(map(int, str(value).split(":")))


RATE = number("above 0", lambda value: value > 0)
SHARE = number("in [0, 1]", lambda value: 0 <= value <= 1)
NOT_NEGATIVE = number("from 0 on", lambda value: value >= 0)
WORDS = "auto, cpu, gpu, cuda, mps, tpu"
RULES: dict[str, Rule] = {  # of a training's values; null passes
    "seed": (f"a whole number from 0 on, to {MOST_SEED}", whole(0, most=MOST_SEED)[1]),
    "spatial_dims": ("2 or 3", lambda value: value in (2, 3)),
    "save_every_n_steps": whole(1),
    "data.batch_size": whole(1),
    "workers": whole(0),
    "data.num_workers": whole(0),
    "data.context_slices": whole(0),
    "data.items.max_val_items": whole(1),
    "trainer.accelerator": (f"one of {WORDS}", lambda value: value in WORDS.split(", ")),
    "trainer.devices": ("a number of devices from 1 on, -1, auto or a list", are_devices),
    "trainer.num_nodes": whole(1),
    "trainer.max_steps": whole(1, -1),
    "trainer.min_steps": whole(0),
    "trainer.max_epochs": whole(1, -1),
    "trainer.max_time": ("a time above 0 as DD:HH:MM:SS", is_time),
    "trainer.accumulate_grad_batches": whole(1),
    "trainer.gradient_clip_val": NOT_NEGATIVE,
    "trainer.log_every_n_steps": whole(0),
    "trainer.val_check_interval": part(1),
    "trainer.check_val_every_n_epoch": whole(1),
    "trainer.num_sanity_val_steps": whole(-1),
    "trainer.limit_train_batches": part(0),
    "trainer.limit_val_batches": part(0),
    "trainer.overfit_batches": part(0),
    "callbacks.pictures.count": whole(0),
    "callbacks.progress.every_seconds": NOT_NEGATIVE,
    "callbacks.ema.decay": number("in [0, 1)", lambda value: 0 <= value < 1),
    "callbacks.best.mode": ("min or max", lambda value: value in ("min", "max")),
    "stage.store.variants": whole(1),
    "stage.store.batch_size": whole(1),
    "stage.regressor.factor": whole(1),
    **{
        f"stage.{kind}.{key}": rule
        for kind in ("optimisation", "discriminator_optimisation")
        for key, rule in {
            "warmup_steps": whole(0),
            "final_lr_fraction": SHARE,
            "optimizer.lr": RATE,
            "optimizer.weight_decay": NOT_NEGATIVE,
        }.items()
    },
}
SIGN_WITHIN = 65536  # bytes from the start of a file


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
    """Refuse numbers and names of a training that no trainer could use.

    Args:
        config: Of ``mrcontrast train``, resolved.

    Raises:
        UsageError: One is; it is named with its key.
    """
    from omegaconf import OmegaConf

    for key, (wanted, fits) in RULES.items():
        value = OmegaConf.select(config, key)
        if value is not None and not fits(value):
            raise UsageError(f"Expected {wanted}, got {value} ({key}). Change it.")


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


def refuse_replacing(path: Path, sign: str, key: str) -> None:
    """Refuse to write over a file that no command of ours has written.

    Args:
        path: To be written.
        sign: Text near the start of a file of ours.
        key: Option that named the path, for the message.

    Raises:
        MrcontrastError: There is another file.
    """
    if not path.exists():
        return
    found = b""
    if path.is_file():
        with path.open("rb") as file:
            found = file.read(SIGN_WITHIN)
    if sign.encode() not in found:
        raise MrcontrastError(
            f"Expected no file or one that this command has written, got another ({path}). "
            f"Choose another {key}."
        )


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
