"""Names of keys and options: earlier names still work, ``--stage X`` is answered ``stage=X``."""

import re
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from mrcontrast.config.errors import HELP, suggestion
from mrcontrast.errors import UsageError

# Earlier names of keys (KEY=VALUE) and of options (--NAME) by command, and their present names.
KEYS = {
    "prepare": {"num_workers": "workers"},
    "train": {"data.num_workers": "workers", "run_dir": "out"},
    "study": {"folder": "out"},
}
OPTIONS = {
    "evaluate": {"--masks": "--mask", "--lesion-masks": "--lesion-mask"},
    "report": {"--flair": "--sources"},
}
NODES = {"shuffle_flair": "shuffle_source"}  # keys of a prediction of a study
POSITIONAL = {"translate": "--out"}  # OUT, by its name in the other commands
OF_HYDRA = (  # its own flags, long and short
    *("--help", "--hydra-help", "--version", "--cfg", "--resolve", "--package", "--run"),
    *("--multirun", "--shell-completion", "--config-path", "--config-name", "--config-dir"),
    *("--experimental-rerun", "--info"),
    *("-h", "-c", "-p", "-r", "-m", "-sc", "-cp", "-cn", "-cd", "-i"),
)
NUMBER = re.compile(r"-?[\d.]+(e-?\d+)?", re.IGNORECASE)


def renamed_keys(command: str, overrides: Sequence[str]) -> list[str]:
    """Return overrides with present names of keys, and report each earlier name."""
    names = KEYS.get(command, {})

    def rename(text: str) -> str:
        found = re.match(r"(\+{0,2})([\w.]+)=", text)
        if found is None or (now := names.get(found[2])) is None:
            return text
        report_name(f"{found[2]}=", f"{now}=")
        return f"{found[1]}{now}={text[found.end() :]}"

    found = []
    for text in map(rename, overrides):
        if text.startswith("data.augmentation=["):  # a list cannot replace transforms by name
            found.append("data.augmentation=null")
        found.append("callbacks=none" if text == "callbacks=null" else text)
    return found


def renamed_options(command: str, words: Sequence[str]) -> list[str]:
    """Return a command line with present names of options, and report each earlier name.

    >>> renamed_options("evaluate", ["--masks", "a", "--lesion-masks=b"])
    ['--mask', 'a', '--lesion-mask=b']
    """
    names, found, last = OPTIONS.get(command, {}), [], []
    rest = iter(words)
    for word in rest:
        option, sign, value = word.partition("=")
        if option == POSITIONAL.get(command):
            last = [value] if sign else [next(rest, "")]
        elif option in names:
            report_name(option, names[option])
            found.append(f"{names[option]}{sign}{value}")
        else:
            found.append(word)
    return [*found, *last]


def renamed_node(node: Mapping[str, Any]) -> dict[str, Any]:
    """Return a prediction of a study with present names of keys, and report each earlier name."""
    for key in NODES.keys() & node.keys():
        report_name(key, NODES[key])
    return {NODES.get(key, key): value for key, value in node.items()}


@cache
def report_name(earlier: str, now: str) -> None:
    """Write the present name of an option once; the standard output is for results."""
    sys.stderr.write(f"mrcontrast: {earlier} is now {now}.\n")


def check_flags(command: str, arguments: Sequence[str], folder: Path) -> None:
    """Raise UsageError for an argument with dashes that is not Hydra's; it gives the override."""
    import yaml

    plain = yaml.safe_load((folder / f"{command}.yaml").read_text(encoding="utf-8"))
    groups = [next(iter(entry)) for entry in plain.pop("defaults") if isinstance(entry, dict)]
    known = dict.fromkeys(groups) | plain
    for index, argument in enumerate(arguments):
        flag, equals, value = argument.partition("=")
        if not flag.startswith("-") or flag in OF_HYDRA or NUMBER.fullmatch(argument):
            continue
        typed = flag.lstrip("-").replace("-", "_")
        key = KEYS.get(command, {}).get(typed, typed)
        if re.split(r"[./@]", key)[0] not in known:
            meant, help_text = suggestion(key, known), HELP.format(entry=command)
            raise UsageError(f"Expected a key of the config, got {flag}.{meant} {help_text}")
        if not equals:
            is_switch = isinstance(known.get(key), bool)
            value = next_value(arguments[index + 1 :], "true" if is_switch else "VALUE")
        raise UsageError(f"Expected {key}={value}, got {flag}. Write {key}={value}.")


def next_value(rest: Sequence[str], default: str) -> str:
    """Return the value that follows an option, or else the default."""
    if not rest or "=" in rest[0] or (rest[0].startswith("-") and not NUMBER.fullmatch(rest[0])):
        return default
    return rest[0]
