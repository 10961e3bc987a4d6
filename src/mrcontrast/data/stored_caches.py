"""Latent caches as folders on disk: whether they are whole, what they hold, how they go."""

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

CARD = "cache.json"
PARTIAL = ".partial"
NAME = re.compile(r"[0-9a-f]{24}(\.partial)?")  # nothing else in the folder is ours to touch


@dataclass(frozen=True)
class StoredCache:
    """One cache folder.

    Attributes:
        folder: Where it lies.
        state: "finished"; "building" while a process writes it; "broken" when half written or
            damaged.
        size_bytes: Of all its files.
        items: Items it holds, all variants together; 0 unless finished.
        created: When it was built, UTC; None unless finished.
        used: When a training last opened it, UTC, or when a broken one was last written to.
        facts: What its name is a hash of; empty unless finished.
    """

    folder: Path
    state: str
    size_bytes: int
    items: int
    created: datetime | None
    used: datetime
    facts: Mapping[str, Any]


def lock_path(folder: Path) -> Path:
    """Return the lock of a cache; it stays for good, since others may be waiting for it."""
    return folder.with_suffix(".lock")


def read_card(folder: Path) -> dict[str, Any] | None:
    """Return what a cache says of itself, or None unless it and all its arrays are whole."""
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        arrays = {name: np.load(folder / f"{name}.npy", "r") for name in card["arrays"]}
        found = {name: list(array.shape) for name, array in arrays.items()}
        return card if found == card["arrays"] and card["facts"] and card["created"] else None
    except (OSError, EOFError, ValueError, KeyError, TypeError):
        return None


def stored_caches(folder: Path) -> list[StoredCache]:
    """Return the caches in a folder, the largest first; other folders there are left out."""
    paths = [path for path in folder.glob("*") if NAME.fullmatch(path.name) and is_ours(path)]
    return sorted(map(look_at, paths), key=lambda cache: -cache.size_bytes)


def is_ours(folder: Path) -> bool:
    """Return whether a folder holds what a cache writes and nothing else."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    return all(
        path.is_file() and (path.suffix == ".npy" or CARD in path.name) for path in folder.iterdir()
    )


def look_at(folder: Path) -> StoredCache:
    """Return the state of one cache folder."""
    card = None if folder.suffix == PARTIAL else read_card(folder)
    files = [path for path in folder.rglob("*") if path.is_file()]
    touched = [path.stat().st_mtime for path in ([folder / CARD] if card else [*files, folder])]
    return StoredCache(
        folder=folder,
        state="finished" if card else "building" if is_locked(folder) else "broken",
        size_bytes=sum(path.stat().st_size for path in files),
        items=min(shape[0] for shape in card["arrays"].values()) if card else 0,
        created=datetime.fromisoformat(card["created"]) if card else None,
        used=datetime.fromtimestamp(max(touched), UTC),
        facts=card["facts"] if card else {},
    )


def is_locked(folder: Path) -> bool:
    """Return whether a process is writing a cache."""
    if not lock_path(folder).exists():
        return False
    try:
        with FileLock(lock_path(folder), timeout=0):
            return False
    except Timeout:
        return True


def mark_used(folder: Path) -> None:
    """Note that a cache is in use, unless its folder may only be read."""
    try:
        (folder / CARD).touch()
    except PermissionError:
        return


def superfluous(
    caches: list[StoredCache], older_than_days: float | None, now: datetime
) -> list[StoredCache]:
    """Return the caches to prune: broken ones, and those unused for so many days, if given."""
    if older_than_days is None:
        return [cache for cache in caches if cache.state == "broken"]
    return [
        cache
        for cache in caches
        if cache.state == "broken"
        or (cache.state == "finished" and now - cache.used >= timedelta(days=older_than_days))
    ]


def remove(cache: StoredCache) -> bool:
    """Delete a cache; return False when a process has begun to write it meanwhile."""
    try:
        with FileLock(lock_path(cache.folder), timeout=0):
            shutil.rmtree(cache.folder)
    except Timeout:
        return False
    return True
