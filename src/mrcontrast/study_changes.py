"""Has the config of a finished training changed below what its study says?"""

from typing import Any

from mrcontrast.config import compose, resolve
from mrcontrast.course import without
from mrcontrast.errors import MrcontrastError
from mrcontrast.run_folder import RunFolder

PLACES = ("name", "data.root", "autoencoder", "diffusion", "regression", "start_from")


def changed_setting(run: RunFolder, overrides: list[str]) -> str | None:
    """Return a line on the first setting that a finished training does not share with today's.

    A study knows a training by its overrides. What these leave to the YAML files of configs may
    have changed since: then its result stands, and a person decides. New keys do not count.

    Args:
        run: The finished training.
        overrides: That it is composed with.

    Returns:
        None where nothing differs, or where today's config cannot be told.
    """
    from mrcontrast.lineage import inherit
    from mrcontrast.resume import course

    try:
        config, _ = inherit(compose("train", overrides))
        configs = (run.config, resolve(config))
        before, today = (flat(without_places(course(each))) for each in configs)
    except MrcontrastError:
        return None
    for key, value in before.items():
        if key in today and today[key] != value:
            now = f"{key} was {value} then and is {today[key]} today"
            return f"{now}; to train anew remove {run.path}"
    return None


def without_places(course: dict[str, Any]) -> dict[str, Any]:
    """Return what decides a training, without the places of its data and its earlier runs."""
    for path in PLACES:
        course = without(course, path.split("."))
    return course


def flat(node: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the leaves of a nest of dicts by their dotted keys; lists are leaves.

    >>> flat({"a": {"b": 1, "c": [2]}, "d": 3})
    {'a.b': 1, 'a.c': [2], 'd': 3}
    """
    leaves: dict[str, Any] = {}
    for key, value in node.items():
        inner = isinstance(value, dict)
        leaves |= flat(value, f"{prefix}{key}.") if inner else {f"{prefix}{key}": value}
    return leaves
