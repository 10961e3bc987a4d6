"""Latent caches as folders on disk: check, list and delete them."""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from mrcontrast import keys
from mrcontrast.errors import MrcontrastError

CARD = "cache.json"
PARTIAL = ".partial"
NAME = re.compile(r"[0-9a-f]{24}(\.partial)?")
MEAN, SIGMA = "target_mean", "target_sigma"
# Half precision errs in proportion to a latent's distance from 0, which standardising multiplies by
# mean / std; images, larger and in [0, 1], come from a store of half precision.
PRECISION: dict[str, type[np.floating]] = {
    **dict.fromkeys((MEAN, SIGMA, keys.SOURCE_LATENT, keys.ANCHOR, keys.PRESENT), np.float32),
    **dict.fromkeys((keys.SOURCE, keys.REGRESSED), np.float16),
}
FURTHER = re.compile(r"signal_\w+")  # keys of signals from outside, which are float32


@dataclass(frozen=True)
class StoredCache:
    """One cache folder; ``items``, ``created`` and ``facts`` are empty unless it is finished."""

    folder: Path
    state: str  # "finished"; "building" while a process writes it; "broken" if half written
    size_bytes: int
    items: int  # all variants together
    created: datetime | None  # UTC
    used: datetime  # when a training last opened it, UTC, or a broken one was last written to
    facts: Mapping[str, Any]  # values whose hash is its name


def precision_of(name: str) -> type[np.floating] | None:
    """Return the type of an array on the disk; None for a name that no cache has."""
    return PRECISION.get(name, np.float32 if FURTHER.fullmatch(name) else None)


def lock_path(folder: Path) -> Path:
    """Return the lock of a cache; it stays for good, since others may be waiting for it."""
    return folder.with_suffix(".lock")


def fault_of(folder: Path, facts: Mapping[str, Any] | None = None) -> str | None:
    """Return why a cache cannot be used, or None if it is whole and of ``facts``, if given."""
    try:
        card = read_card(folder)
    except UnusableError as error:
        return str(error)
    if facts is not None and card["facts"] != facts:
        return f"{CARD} has other data, another autoencoder or another version"
    return None


class UnusableError(ValueError):
    """A cache is damaged, half written, or no cache at all."""


def read_card(folder: Path) -> dict[str, Any]:
    """Return the card of a cache; UnusableError if it and its arrays are not whole."""
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        arrays, made = card["arrays"], datetime.fromisoformat(card["created"])
        if not (isinstance(card["facts"], dict) and card["facts"] and arrays and made):
            raise UnusableError(f"{CARD} is empty")
        if unknown := [name for name in arrays if precision_of(name) is None]:
            raise UnusableError(f"{CARD} has an unknown array, {min(unknown)}")
        lengths = {shape_of(folder, name, shape) for name, shape in arrays.items()}
    except OSError as error:
        raise UnusableError(f"{CARD} cannot be read") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise UnusableError(f"{CARD} is not as written here") from error
    except UnusableError:
        raise
    except ValueError as error:
        raise UnusableError(f"{CARD} is damaged") from error
    if len(lengths) != 1:
        raise UnusableError("its arrays hold different numbers of items")
    return card


def shape_of(folder: Path, name: str, expected: Sequence[int]) -> int:
    """Return the length of an array on the disk; UnusableError if the card says otherwise."""
    try:
        array = np.load(folder / f"{name}.npy", "r")
    except (OSError, EOFError, ValueError) as error:
        raise UnusableError(f"{name}.npy is missing, cut short or damaged") from error
    if list(array.shape) != expected or array.dtype != precision_of(name):
        raise UnusableError(
            f"{name}.npy is {array.dtype} of axes {list(array.shape)}, not {expected}"
        )
    return len(array)


def stored_caches(folder: Path) -> list[StoredCache]:
    """Return the caches in a folder, the largest first; other folders there are left out."""
    paths = [path for path in folder.glob("*") if NAME.fullmatch(path.name) and is_cache(path)]
    return sorted(map(cache_at, paths), key=lambda cache: -cache.size_bytes)


def is_cache(folder: Path) -> bool:
    """Return whether a folder is a cache, whole or not, and holds nothing else."""
    if folder.is_symlink() or not folder.is_dir() or foreign(folder):
        return False
    return folder.suffix == PARTIAL or any(folder.iterdir())


def foreign(folder: Path) -> list[str]:
    """Return the names in a folder that no cache has, sorted."""
    return sorted(
        path.name
        for path in folder.iterdir()
        if (
            not (path.name == CARD or (path.name[0] == "." and path.name.endswith(CARD)))
            and not (path.suffix == ".npy" and precision_of(path.stem))
        )
        or (path.is_dir() and not path.is_symlink())
    )


def cache_at(folder: Path) -> StoredCache:
    """Return the state of one cache folder."""
    whole = folder.suffix != PARTIAL and fault_of(folder) is None
    card = read_card(folder) if whole else None
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
    with suppress(PermissionError):
        (folder / CARD).touch()


def superfluous(
    caches: list[StoredCache], older_than_days: float | None, now: datetime
) -> list[StoredCache]:
    """Return the caches to prune: broken ones, and those unused for so many days, if given."""
    limit = timedelta.max if older_than_days is None else timedelta(days=older_than_days)
    return [
        each
        for each in caches
        if each.state == "broken" or (each.state == "finished" and now - each.used >= limit)
    ]


def remove(cache: StoredCache) -> bool:
    """Delete a cache; return False when a process has begun to write it meanwhile."""
    try:
        with FileLock(lock_path(cache.folder), timeout=0):
            delete(cache.folder)
    except Timeout:
        return False
    return True


def delete(folder: Path) -> None:
    """Delete a cache folder, if it is there; MrcontrastError if it holds something else."""
    if not os.path.lexists(folder):
        return
    others = foreign(folder) if folder.is_dir() and not folder.is_symlink() else [folder.name]
    if others:
        raise MrcontrastError(
            f"Expected nothing but latents, got {others[0]} ({folder}). Move it elsewhere."
        )
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


@contextmanager
def renamed_at_end(target: Path) -> Iterator[Path]:
    """Yield an empty folder that becomes ``target``; after an error it is deleted."""
    partial = target.with_suffix(PARTIAL)
    for leftover in (partial, target):
        delete(leftover)
    partial.mkdir()
    try:
        yield partial
        partial.rename(target)
    except BaseException:
        delete(partial)  # on a full disk it would hold all the space that is left
        raise
