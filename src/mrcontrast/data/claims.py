"""Which files a sidecar of ours claims: by name and hash, so that no other file is replaced."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mrcontrast.storage.files import sha256_file

FILES, REPLACED = "Files", "Replaces"  # of a sidecar: names of its files, each with its SHA-256

Claims = dict[str, set[str] | None]  # hashes by name; None is any content


def read_claims(facts: Mapping[str, Any], volume: Path, std: Path, mask: Path) -> Claims | None:
    """Return which of three files a sidecar ({} if unreadable) claims; None if it is not ours.

    Sidecars from before the hashes claim the volume, and the deviation of draws, by name.
    """
    if facts.get("Synthetic") is not True:
        return None
    if isinstance(facts.get(FILES), dict):
        lists = [part for key in (FILES, REPLACED) if isinstance(part := facts.get(key), dict)]
        own = {path.name: [part.get(path.name) for part in lists] for path in (volume, std, mask)}
        known = {name: {h for h in found if isinstance(h, str)} for name, found in own.items()}
        return {name: hashes for name, hashes in known.items() if hashes}
    generators = facts.get("GeneratedBy")
    entries = generators if isinstance(generators, list) else []
    if not any(isinstance(entry, dict) and entry.get("Name") == "mrcontrast" for entry in entries):
        return None
    samples = facts.get("Samples")
    several = isinstance(samples, int) and samples > 1
    return {path.name: None for path in ((volume, std) if several else (volume,))}


def is_claimed(path: Path, claims: Claims | None) -> bool:
    """Return whether a file has the name and content of a claimed one."""
    if claims is None or path.name not in claims or not path.is_file():
        return False
    hashes = claims[path.name]
    return hashes is None or sha256_file(path) in hashes


def hashes_of(paths: Iterable[Path], claims: Claims | None) -> dict[str, str]:
    """Return the hashes of claimed files that are there, by name."""
    return {path.name: sha256_file(path) for path in paths if is_claimed(path, claims)}
