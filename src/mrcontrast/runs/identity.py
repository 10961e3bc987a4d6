"""Identity of a run: the part of its config that decides the result."""

from collections.abc import Mapping, Sequence
from typing import Any

# Keys that may change between the parts of one training.
FREE_KEYS = (
    *("resume", "overwrite", "logger", "paths", "out", "workers", "save_every_n_steps"),
    "overrides",  # as typed; the other keys have their values
)
EARLIER_FREE_KEYS = ("run_dir",)  # in older runs
FREE_PATHS = ("data.num_workers", "stage.store.folder")
FREE_CALLBACK_KEYS = ("folder", "path", "dirpath", "every_n_steps", "every_seconds", "count")
# Places of data and earlier runs, which are compared by their hashes.
PLACES = ("name", "data.root", "autoencoder", "diffusion", "regression", "start_from")


def deciding(plain: Mapping[str, Any], free: Sequence[str] = FREE_KEYS) -> dict[str, Any]:
    """Return the part of a training's or study's config that decides its result.

    Keys in ``free`` are left out, and places, workers and output settings of callbacks.
    """
    kept = {key: v for key, v in plain.items() if key not in (*free, *EARLIER_FREE_KEYS)}
    kept = without(kept, FREE_PATHS)
    if "callbacks" in kept:
        kept["callbacks"] = {
            name: {key: value for key, value in node.items() if key not in FREE_CALLBACK_KEYS}
            for name, node in (kept["callbacks"] or {}).items()
            if node
        }
    return kept


def without_places(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Return the deciding part of a config without the places of its data and earlier runs."""
    return without(plain, PLACES)


def without(node: Mapping[str, Any], paths: Sequence[str]) -> dict[str, Any]:
    """Return a copy of a nest of dicts without the values at dotted paths."""
    kept = dict(node)
    for path in paths:
        first, _, rest = path.partition(".")
        if not rest:
            kept.pop(first, None)
        elif isinstance(kept.get(first), Mapping):
            kept[first] = without(kept[first], [rest])
    return kept


def first_difference(
    ours: Any,  # noqa: ANN401 - any nest of dicts, lists and scalars
    theirs: Any,  # noqa: ANN401
    key: str = "",
) -> tuple[str, Any, Any] | None:
    """Return the first difference of two nests of plain values: key, ours, theirs.

    >>> first_difference({"a": 1, "b": {"c": [1, 2]}}, {"a": 1, "b": {"c": [1, 3]}})
    ('b.c.1', 2, 3)
    """
    if isinstance(ours, list) and isinstance(theirs, list):
        ours, theirs = dict(enumerate(ours)), dict(enumerate(theirs))
    if not (isinstance(ours, dict) and isinstance(theirs, dict)):
        same = type(ours) is type(theirs) and ours == theirs
        return None if same else (key, ours, theirs)
    for name in dict.fromkeys([*ours, *theirs]):
        inner = f"{key}.{name}" if key else str(name)
        if found := first_difference(ours.get(name), theirs.get(name), inner):
            return found
    return None


def flat(node: Mapping[str, Any], separator: str = ".", prefix: str = "") -> dict[str, Any]:
    """Return the leaves of a nest of dicts by their joined keys; lists are leaves."""
    leaves: dict[str, Any] = {}
    for key, value in node.items():
        name = f"{prefix}{key}"
        inner = isinstance(value, Mapping)
        leaves |= flat(value, separator, f"{name}{separator}") if inner else {name: value}
    return leaves
