"""Modules outside this package that model folders and YAMLs of metrics may name."""

import inspect
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module

from mrcontrast.errors import MrcontrastError, UsageError

VARIABLE, OPTION = "MRCONTRAST_TRUST", "--trust"


def trusted_modules() -> list[str]:
    """Return the modules and packages in ``MRCONTRAST_TRUST``, split at commas."""
    return [name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip()]


@contextmanager
def trusting(modules: Sequence[str]) -> Iterator[None]:
    """Trust further modules or packages in the block, and in processes that start in it."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = ",".join([*trusted_modules(), *modules])
    try:
        yield
    finally:
        os.environ.pop(VARIABLE)
        if before is not None:
            os.environ[VARIABLE] = before


def take_trust(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Return the arguments without each ``--trust MODULE``, and the modules.

    >>> take_trust(["translate", "--trust", "my_parts", "a", "--trust=other"])
    (['translate', 'a'], ['my_parts', 'other'])
    """
    # --trust=MODULE becomes two words
    words = [p for w in arguments for p in w.split("=", int(w.startswith(f"{OPTION}=")))]
    if words[-1:] == [OPTION]:
        raise UsageError("Expected a module, got none (--trust). Name it: --trust my_package.")
    places = [place for place, word in enumerate(words) if word == OPTION]
    rest = [word for place, word in enumerate(words) if not {place, place - 1} & set(places)]
    return rest, [words[place + 1] for place in places]


def is_trusted(target: str, also: Sequence[str] = ()) -> bool:
    """Return whether a name means a class or function that a trusted module defines itself.

    Names that a trusted module imports, such as ``my_parts.os.system``, are not trusted.
    """
    names = [*trusted_modules(), *also]
    module, _, name = target.rpartition(".")
    if not within(module, names):
        return False
    try:
        found = vars(import_module(module)).get(name)
    except ImportError as error:
        raise MrcontrastError(
            f"Expected the module {module} that you trust, got: {error}. Set PYTHONPATH."
        ) from error
    made_here = inspect.isclass(found) or inspect.isfunction(found)
    return made_here and within(str(found.__module__), names)


def within(module: str, names: Sequence[str]) -> bool:
    """Return whether a module is one of the named ones or inside one."""
    return any(module == name or module.startswith(f"{name}.") for name in names)
