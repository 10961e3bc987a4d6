"""One-line errors of overrides, with the nearest existing name."""

import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from pathlib import Path

from mrcontrast.errors import UsageError, one_line

HELP = "`mrcontrast {entry} --help` lists groups and keys."
NEAR = 0.7  # least ratio of difflib for a suggestion
MOST_NAMES = 12  # in an error
EXPERIMENT = "experiment"  # the group whose names have folders


def usage_error(
    error: Exception,
    entry: str,
    keys: Callable[[str], Iterable[str]] = lambda key: (),
    folder: Path | None = None,
) -> UsageError:
    """Return the error for a user of an error of Hydra, OmegaConf or the YAML parser.

    Args:
        error: The error.
        entry: Entry point that was composed, such as "train".
        keys: Function from an unknown key to the keys of the config.
        folder: Folder of the configs.
    """
    from hydra.errors import MissingConfigException, OverrideParseException

    text = one_line(error)
    help_text = HELP.format(entry=entry)
    if isinstance(error, OverrideParseException):
        reason = error.message.split("See https")[0].strip()
        return UsageError(
            f"Expected KEY=VALUE, got {error.override}: {reason.splitlines()[0].rstrip('.')}. "
            "Quote a value that holds special characters."
        )
    if isinstance(error, MissingConfigException):
        return missing(error, help_text, folder)
    if found := re.match(r"You must specify '([^']+)', e\.g, \S+ Available options: ?(.*)", text):
        names = listed(found[2].replace(",", " ").split())
        return UsageError(f"Expected {found[1]}=NAME, got none. Choose one of {names}.")
    if found := re.match(r"Could not override '([^']+)'", text):
        value = re.search(r"\. (Value .*?)( full_key:| object_type|$)", text)
        reason = f": {value[1]}" if value else ""
        inner = re.search(rf"full_key: ({re.escape(found[1])}\S*)", text)  # of a mapping as value
        key = inner[1] if inner else found[1]
        meant = "" if reason else suggestion(key, keys(found[1]))
        return UsageError(f"Expected a key of the config, got {key}{reason}.{meant} {help_text}")
    return UsageError(f"Expected overrides that fit the configs, got: {text}. {help_text}")


def missing(error: Exception, help_text: str, folder: Path | None) -> UsageError:
    """Return the error of a choice without a file, with the nearest name or all names."""
    wanted = str(getattr(error, "missing_cfg_file", None) or "")
    group, _, name = wanted.rpartition("/")
    options = list(getattr(error, "options", None) or ())
    if wanted.startswith(f"{EXPERIMENT}/") and folder is not None:
        group, name = EXPERIMENT, wanted.removeprefix(f"{EXPERIMENT}/")
        options = names_in(folder / EXPERIMENT)
    meant = suggestion(name, options)
    known = f"one of {listed(options)}" if options and not meant else "a file of the configs"
    where = f" ({group})" if group else ""
    return UsageError(f"Expected {known}, got {name or error}{where}.{meant} {help_text}")


def names_in(group: Path) -> list[str]:
    """Return the choices of ``GROUP=``; only the names of experiments have folders."""
    deep = group.rglob if group.name == EXPERIMENT else group.glob
    return sorted(path.relative_to(group).with_suffix("").as_posix() for path in deep("*.yaml"))


def listed(names: Iterable[str], most: int = MOST_NAMES) -> str:
    """Join names, at most ``most`` of them."""
    every = list(names)
    more = f", ... ({len(every)} in all)" if len(every) > most else ""
    return ", ".join(every[:most]) + more


def suggestion(typed: str, known: Iterable[str]) -> str:
    """Return the nearest known name as a sentence; "" if none is near.

    A key also matches by its last part, or by a prefix of three letters or more.

    >>> suggestion("max_steps", ["trainer.max_steps", "seed"])
    ' Did you mean trainer.max_steps?'
    """
    names = list(known)
    ends = sorted((name for name in names if name.endswith(f".{typed}")), key=len)
    near = ends or get_close_matches(typed, names, n=1, cutoff=NEAR)
    if not near and len(typed) > 2:
        near = sorted((name for name in names if name.startswith(typed)), key=len)
    return f" Did you mean {near[0]}?" if near else ""
