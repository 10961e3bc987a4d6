"""Rules for values: the expected value in words, and a test of it."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar

from mrcontrast.errors import MrcontrastError, UsageError, one_line

MOST = 2**31 - 1
MOST_SEED = 2**32 - 1  # NumPy's

Rule = tuple[str, Callable[[Any], bool]]
Made = TypeVar("Made")


def whole(least: int, *also: object, most: int = MOST) -> Rule:
    """Return the rule of a whole number of at least ``least``; values in ``also`` pass too."""
    return (
        f"a whole number from {least} on",
        lambda value: value in also or (is_whole(value) and least <= value <= most),
    )


def part(least: int) -> Rule:
    """Return the rule of a whole number of at least ``least`` (also 0.0), or a part in (0, 1]."""

    def fits(value: Any) -> bool:  # noqa: ANN401 - as typed
        inside = is_number(value) and not is_whole(value) and 0 < value <= 1
        return inside or (is_whole(value) and least <= value <= MOST) or value == least == 0

    return f"a whole number from {least} on or a part in (0, 1]", fits


def number(wanted: str, fits: Callable[[float], bool]) -> Rule:
    """Return the rule of a finite number."""
    return f"a number {wanted}".strip(), lambda value: is_number(value) and fits(value)


def one_of(*words: object) -> Rule:
    """Return the rule of a fixed set of values."""
    return f"one of {', '.join(map(str, words))}", lambda value: value in words


def optional(rule: Rule) -> Rule:
    """Return a rule that null fits too."""
    wanted, fits = rule
    return f"{wanted}, or null", lambda value: value is None or fits(value)


def table(wanted: str, rules: Mapping[str, Rule], *needed: str) -> Rule:
    """Return the rule of a table with some keys, whose values fit rules."""

    def fits(value: Any) -> bool:  # noqa: ANN401 - as typed
        there = isinstance(value, dict) and value.keys() >= set(needed)
        return there and misfit(value, rules) is None

    return wanted, fits


def is_whole(value: object) -> bool:
    """Return whether a value is a whole number; true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    """Return whether a value is a finite number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def is_text(value: object) -> bool:
    """Return whether a value is a text."""
    return isinstance(value, str)


def are_devices(value: Any) -> bool:  # noqa: ANN401 - as typed
    """Return whether Lightning accepts a value of ``trainer.devices``.

    >>> [are_devices(value) for value in (2, -1, "auto", [0, 1], "0,1", 0, [], [0, 0], "two")]
    [True, True, True, True, True, False, False, False, False]
    """
    if is_text(value):
        numbers = re.fullmatch(r"-1|\d+(,\d+)*,?", value.replace(" ", ""))
        return value == "auto" or (numbers is not None and set(value) != {"0"})
    if isinstance(value, Sequence):
        natural = all(is_whole(each) and each >= 0 for each in value)
        return natural and len(value) > 0 and len({*value}) == len(value)
    return is_whole(value) and (value == -1 or value >= 1)


def is_time(value: object) -> bool:
    """Return whether a value is a time above 0 as Lightning writes it, DD:HH:MM:SS."""
    if isinstance(value, Mapping):
        return True
    found = re.fullmatch(r"\d+:\d+:\d+:\d+", str(value))
    return found is not None and any(map(int, str(value).split(":")))


TEXT: Rule = ("a text", is_text)
TEXTS: Rule = ("a list of texts", lambda v: isinstance(v, list) and all(map(is_text, v)))
TABLE = table("a table", {})
TEXT_TABLE: Rule = (
    "a table of texts",
    lambda value: isinstance(value, dict) and all(map(is_text, value.values())),
)
FINITE = number("", lambda value: True)
POSITIVE = number("above 0", lambda value: value > 0)
NOT_NEGATIVE = number("from 0 on", lambda value: value >= 0)
OPTIMISATION = {
    "warmup_steps": whole(0),
    "final_lr_fraction": number("in [0, 1]", lambda value: 0 <= value <= 1),
    "optimizer.lr": POSITIVE,
    "optimizer.weight_decay": NOT_NEGATIVE,
}
TRAINING: dict[str, Rule] = {  # values of a training's config
    "seed": (f"a whole number from 0 on, to {MOST_SEED}", whole(0, most=MOST_SEED)[1]),
    "spatial_dims": ("2 or 3", lambda value: value in (2, 3)),
    **dict.fromkeys(("workers", "data.num_workers", "data.context_slices"), whole(0)),
    **dict.fromkeys(("trainer.min_steps", "trainer.log_every_n_steps"), whole(0)),
    **dict.fromkeys(
        ("save_every_n_steps", "data.batch_size", "data.items.max_val_items"), whole(1)
    ),
    **dict.fromkeys(("trainer.num_nodes", "trainer.accumulate_grad_batches"), whole(1)),
    **dict.fromkeys(("stage.store.variants", "stage.store.batch_size"), whole(1)),
    **dict.fromkeys(("trainer.check_val_every_n_epoch", "stage.regressor.factor"), whole(1)),
    **dict.fromkeys(("trainer.max_steps", "trainer.max_epochs"), whole(1, -1)),
    **dict.fromkeys(("trainer.limit_train_batches", "trainer.limit_val_batches"), part(0)),
    **dict.fromkeys(
        ("trainer.gradient_clip_val", "callbacks.progress.every_seconds"), NOT_NEGATIVE
    ),
    "trainer.accelerator": one_of("auto", "cpu", "gpu", "cuda", "mps", "tpu"),
    "trainer.devices": ("a number of devices from 1 on, -1, auto or a list", are_devices),
    "trainer.max_time": ("a time above 0 as DD:HH:MM:SS", is_time),
    "trainer.val_check_interval": part(1),
    "trainer.num_sanity_val_steps": whole(-1),
    "trainer.overfit_batches": part(0),
    "callbacks.pictures.count": whole(0),
    "callbacks.ema.decay": number("in [0, 1)", lambda value: 0 <= value < 1),
    "callbacks.best.mode": ("min or max", lambda value: value in ("min", "max")),
    **{f"stage.optimisation.{key}": rule for key, rule in OPTIMISATION.items()},
    **{f"stage.discriminator_optimisation.{key}": rule for key, rule in OPTIMISATION.items()},
}


def misfit(values: Mapping[str, Any], rules: Mapping[str, Rule]) -> tuple[str, str, Any] | None:
    """Return key, expectation and value of the first value against its rule; None if all fit."""
    for key, (wanted, fits) in rules.items():
        if key in values and not fits(values[key]):
            return key, wanted, values[key]
    return None


def read_table(
    path: Path,
    rules: Mapping[str, Rule],
    expected: str,
    advice: str,
    make: Callable[[dict[str, Any]], Made],
) -> Made:
    """Read a JSON file of a table, which may come from anywhere, and ``make`` something of it.

    A missing or damaged file, or a value against its rule, is MrcontrastError: "Expected
    ``expected``, got ... . ``advice``"
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise TypeError(f"no table but a {type(found).__name__}")
        if (wrong := misfit(found, rules)) is not None:
            key, wanted, value = wrong
            raise ValueError(f"{key} {str(value)[:80]!r}, not {wanted}")
        return make(found)
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        reason = one_line(error, most=200)
        raise MrcontrastError(f"Expected {expected}, got: {reason} ({path}). {advice}") from error


def check_numbers(config: Any) -> None:  # noqa: ANN401 - an OmegaConf node, imported late
    """Raise UsageError for a number or name in a resolved config that no trainer could use."""
    from omegaconf import OmegaConf

    values = {key: OmegaConf.select(config, key) for key in TRAINING}
    given = {key: value for key, value in values.items() if value is not None}
    if (found := misfit(given, TRAINING)) is not None:
        key, wanted, value = found
        raise UsageError(f"Expected {wanted}, got {value} ({key}). Change it.")
