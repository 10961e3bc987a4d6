"""What Hydra finds wrong with overrides, said on one line without its advice."""

import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches

from mrcontrast.errors import UsageError, one_line

HELP = "`mrcontrast {entry} --help` lists groups and keys."


def usage_error(
    error: Exception, entry: str, keys: Callable[[str], Iterable[str]] = lambda key: ()
) -> UsageError:
    """Return the error that a user reads.

    Args:
        error: Of Hydra, OmegaConf or the YAML parser.
        entry: Entry point that was composed, such as "train".
        keys: Returns the keys of the config for one that it does not have.
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
        return missing(error, help_text)
    if found := re.match(r"You must specify '([^']+)', e\.g, \S+ Available options: ?(.*)", text):
        names = ", ".join(found[2].split())
        return UsageError(f"Expected {found[1]}=NAME, got none. Choose one of {names}.")
    if found := re.match(r"Could not override '([^']+)'", text):
        reason = cause(text)
        meant = "" if reason else suggestion(found[1], keys(found[1]))
        return UsageError(
            f"Expected a key of the config, got {found[1]}{reason}.{meant} {help_text}"
        )
    return UsageError(f"Expected overrides that fit the configs, got: {text}. {help_text}")


def missing(error: Exception, help_text: str) -> UsageError:
    """Return the error of a choice that no file makes."""
    wanted = str(getattr(error, "missing_cfg_file", None) or "")
    group, _, name = wanted.rpartition("/")
    options = getattr(error, "options", None)
    known = f"one of {', '.join(options)}" if options else "a file of the configs"
    where = f" ({group})" if group else ""
    meant = suggestion(name, options or ())
    return UsageError(f"Expected {known}, got {name or error}{where}.{meant} {help_text}")


def suggestion(typed: str, known: Iterable[str]) -> str:
    """Return what was probably meant, as a sentence; "" if nothing is near.

    >>> suggestion("optimiser.lr", ["optimizer.lr", "seed"])
    ' Did you mean optimizer.lr?'
    """
    near = get_close_matches(typed, list(known), n=1, cutoff=0.75)
    return f" Did you mean {near[0]}?" if near else ""


def cause(text: str) -> str:
    """Return what OmegaConf says of a value that a key cannot take, "" for an unknown key.

    >>> cause("Could not override 'a'. Value 'x' could not be converted to Integer full_key: a")
    ": Value 'x' could not be converted to Integer"
    """
    found = re.search(r"\. (Value .*?)( full_key:| object_type|$)", text)
    return f": {found[1]}" if found else ""
