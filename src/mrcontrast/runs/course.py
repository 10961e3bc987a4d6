"""The part of a config that decides a result, and what may change without changing it."""

from collections.abc import Mapping, Sequence
from typing import Any

# What may change between the parts of one training without changing its course.
FREE_KEYS = ("resume", "overwrite", "logger", "paths", "out", "workers", "save_every_n_steps")
EARLIER_FREE_KEYS = ("run_dir",)  # of older runs
FREE_PATHS = ("data.num_workers", "stage.store.folder")
FREE_CALLBACK_KEYS = ("folder", "path", "dirpath", "every_n_steps", "every_seconds", "count")
# Places of data and of earlier runs: hashes tell whether their content is the same.
PLACES = ("name", "data.root", "autoencoder", "diffusion", "regression", "start_from")


def deciding(plain: Mapping[str, Any], free: Sequence[str] = FREE_KEYS) -> dict[str, Any]:
    """Return the part of a training's config that decides its course.

    Args:
        plain: The config as plain values; a study's passes but for its ``free`` keys.
        free: Keys that do not count, besides places, workers and what callbacks write.

    >>> deciding({"seed": 0, "resume": "auto", "stage": {"lr": 1, "store": {"folder": "a"}}})
    {'seed': 0, 'stage': {'lr': 1, 'store': {}}}
    """
    kept = {key: v for key, v in plain.items() if key not in (*free, *EARLIER_FREE_KEYS)}
    for path in FREE_PATHS:
        kept = without(kept, path.split("."))
    if "callbacks" in kept:
        callbacks = kept["callbacks"] or {}
        kept["callbacks"] = {name: work_of(node) for name, node in callbacks.items() if node}
    return kept


def without_places(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Return what decides a training, without the places of its data and its earlier runs."""
    kept = dict(plain)
    for path in PLACES:
        kept = without(kept, path.split("."))
    return kept


def without(node: Mapping[str, Any], path: Sequence[str]) -> dict[str, Any]:
    """Return a copy of a nest of dicts without what a path leads to, if it leads anywhere."""
    first, *rest = path
    if not rest:
        return {key: value for key, value in node.items() if key != first}
    inner = node.get(first)
    return dict(node) | ({first: without(inner, rest)} if isinstance(inner, Mapping) else {})


def work_of(callback: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a callback does to a training, without its places and intervals."""
    kept = {key: value for key, value in callback.items() if key not in FREE_CALLBACK_KEYS}
    return kept
