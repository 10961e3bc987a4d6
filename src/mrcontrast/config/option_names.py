"""One name for one thing in all commands; earlier names are still understood."""

import re
import sys
from collections.abc import Sequence
from functools import cache

# Earlier names of keys (KEY=VALUE) and of options (--NAME), by command, and today's.
KEYS = {
    "prepare": {"num_workers": "workers"},
    "train": {"data.num_workers": "workers", "run_dir": "out"},
    "study": {"folder": "out"},
}
OPTIONS = {"evaluate": {"--masks": "--mask", "--lesion-masks": "--lesion-mask"}}
POSITIONAL = {"translate": "--out"}  # OUT, by the name that it has in the other commands


def renamed_keys(command: str, overrides: Sequence[str]) -> list[str]:
    """Return overrides with today's names of keys; each earlier name is told in one line.

    >>> renamed_keys("prepare", ["recipe=phantom", "num_workers=2"])
    ['recipe=phantom', 'workers=2']
    """
    names = KEYS.get(command, {})

    def rename(text: str) -> str:
        found = re.match(r"(\+{0,2})([\w.]+)=", text)
        if found is None or (now := names.get(found[2])) is None:
            return text
        tell(f"{found[2]}=", f"{now}=")
        return f"{found[1]}{now}={text[found.end() :]}"

    return [rename(text) for text in overrides]


def renamed_options(command: str, words: Sequence[str]) -> list[str]:
    """Return a command line with today's names of options; each earlier name is told in one line.

    >>> renamed_options("evaluate", ["--masks", "a", "--lesion-masks=b"])
    ['--mask', 'a', '--lesion-mask=b']
    >>> renamed_options("translate", ["flair.nii.gz", "--out", "t1w.nii.gz", "--seed", "1"])
    ['flair.nii.gz', '--seed', '1', 't1w.nii.gz']
    """
    names, found, last = OPTIONS.get(command, {}), [], []
    rest = iter(words)
    for word in rest:
        option, sign, value = word.partition("=")
        if option == POSITIONAL.get(command):
            last = [value] if sign else [next(rest, "")]
        elif option in names:
            tell(option, names[option])
            found.append(f"{names[option]}{sign}{value}")
        else:
            found.append(word)
    return [*found, *last]


@cache
def tell(earlier: str, now: str) -> None:
    """Write once which name an option has today; the standard output is for results."""
    sys.stderr.write(f"mrcontrast: {earlier} is now {now}.\n")
