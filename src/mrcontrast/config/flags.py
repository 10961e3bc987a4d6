"""Options where overrides belong: ``--stage X`` is written ``stage=X``."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mrcontrast.config.errors import HELP, suggestion
from mrcontrast.config.option_names import KEYS
from mrcontrast.errors import UsageError

OF_HYDRA = (  # its own flags, long and short
    *("--help", "--hydra-help", "--version", "--cfg", "--resolve", "--package", "--run"),
    *("--multirun", "--shell-completion", "--config-path", "--config-name", "--config-dir"),
    *("--experimental-rerun", "--info"),
    *("-h", "-c", "-p", "-r", "-m", "-sc", "-cp", "-cn", "-cd", "-i"),
)
NUMBER = re.compile(r"-?[\d.]+(e-?\d+)?", re.IGNORECASE)


def refuse_flags(command: str, arguments: Sequence[str], folder: Path) -> None:
    """Refuse options that are keys of the config, or nothing at all.

    Args:
        command: Entry point, such as "train".
        arguments: What follows it.
        folder: Of the configs.

    Raises:
        UsageError: There is one; the override to write instead is named.
    """
    for index, argument in enumerate(arguments):
        flag, equals, value = argument.partition("=")
        if not flag.startswith("-") or flag in OF_HYDRA or NUMBER.fullmatch(argument):
            continue
        typed = flag.lstrip("-").replace("-", "_")
        key = KEYS.get(command, {}).get(typed, typed)
        known = first_keys(folder, command)
        first = re.split(r"[./@]", key)[0]
        if first not in known:
            meant, help_text = suggestion(key, known), HELP.format(entry=command)
            raise UsageError(f"Expected a key of the config, got {flag}.{meant} {help_text}")
        if not equals:
            is_switch = isinstance(known.get(key), bool)
            value = next_value(arguments[index + 1 :], "true" if is_switch else "VALUE")
        raise UsageError(f"Expected {key}={value}, got {flag}. Write {key}={value}.")


def next_value(rest: Sequence[str], default: str) -> str:
    """Return the value that follows an option, or else the default.

    >>> next_value(["-1"], "1"), next_value(["--seed"], "x"), next_value(["stage=a"], "true")
    ('-1', 'x', 'true')
    """
    if not rest or "=" in rest[0] or (rest[0].startswith("-") and not NUMBER.fullmatch(rest[0])):
        return default
    return rest[0]


def first_keys(folder: Path, command: str) -> dict[str, Any]:
    """Return the keys at the top of a command's config with their values, its groups included."""
    import yaml

    plain = yaml.safe_load((folder / f"{command}.yaml").read_text(encoding="utf-8"))
    groups = [next(iter(entry)) for entry in plain["defaults"] if isinstance(entry, dict)]
    return dict.fromkeys(groups) | {key: plain[key] for key in plain if key != "defaults"}
