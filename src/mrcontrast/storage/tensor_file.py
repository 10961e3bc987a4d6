"""Tensors in a safetensors file, each stored once: what is there already is only named."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mrcontrast.errors import MrcontrastError, one_line
from mrcontrast.storage.files import beside_folder, replacing, sha256_file

if TYPE_CHECKING:
    from torch import Tensor

EQUAL = "equal"  # metadata, JSON: name -> [file, name there]; file "" is this one
BESIDE = "beside"  # metadata, JSON: file, as seen from this one -> its SHA-256
SMALL = 64  # elements; so few are stored again


def write_tensors(path: Path, tensors: Mapping[str, "Tensor"], beside: Sequence[Path] = ()) -> str:
    """Write tensors, equal ones once.

    Args:
        path: The file; written whole or not at all.
        tensors: By name, of any shape and type; shared and strided ones too.
        beside: Files written before, which stay where they are as seen from ``path``: a tensor
            that lies in one of them is not stored again.

    Returns:
        The SHA-256 of the file.
    """
    from safetensors.torch import save_file

    places = {
        fingerprint(value): (relative(other, path), name)
        for other in beside
        for name, value in stored(other).items()
    }
    own, equal = {}, {}
    for name, value in tensors.items():
        tensor = value.detach().cpu().contiguous()
        here = ("", name)
        place = here if tensor.numel() <= SMALL else places.setdefault(fingerprint(tensor), here)
        if place == here:
            own[name] = tensor.clone()
        else:
            equal[name] = place
    files = {file for file, _ in equal.values()}
    used = {other for other in beside if relative(other, path) in files}
    with replacing(path, durable=True) as unfinished, beside_folder(path) as folder:
        file = folder / path.name  # safetensors adds a file of its own, which a kill leaves
        save_file(own, file, metadata=metadata_of(path, equal, used))
        file.chmod(0o666 & ~umask())  # safetensors lets the owner alone read it
        file.replace(unfinished)
    return sha256_file(path)


def write_parts(
    path: Path, tensors: Mapping[str, "Tensor"], most: int, beside: Sequence[Path] = ()
) -> str:
    """Write tensors as ``write_tensors`` does, in files of at most ``most`` bytes of tensors each.

    The last part is ``path``; those before it lie beside it as NAME-1, NAME-2, ...

    Returns:
        The SHA-256 of ``path``.
    """
    known = {fingerprint(value) for other in beside for value in stored(other).values()}
    parts: list[dict[str, Tensor]] = [{}]
    size = 0
    for name, value in tensors.items():
        tensor = value.detach().cpu().contiguous()
        if (mark := fingerprint(tensor)) in known:
            continue
        known.add(mark)
        size += tensor.nbytes
        if size > most and parts[-1]:
            parts.append({})
            size = tensor.nbytes
        parts[-1][name] = tensor
    files = list(beside)
    for number, part in enumerate(parts[:-1], start=1):
        files.append(path.with_stem(f"{path.stem}-{number}"))
        write_tensors(files[-1], part)
    return write_tensors(path, tensors, files)


def read_tensors(path: Path, device: str = "cpu") -> dict[str, "Tensor"]:
    """Read the tensors of a file to a device; those that are one in the file are one in memory.

    Args:
        path: The file; ``refuse_strangers`` has passed.
        device: Where the tensors go.

    Raises:
        MrcontrastError: A file is damaged, or lacks a tensor that it should hold.
    """
    own = stored(path, device)
    equal = told(path, EQUAL)
    files = {file: stored(path.parent / file, device) for file in told(path, BESIDE)} | {"": own}
    try:
        return own | {name: files[file][there] for name, (file, there) in equal.items()}
    except (KeyError, ValueError, TypeError) as error:
        raise damaged(path, error) from error


def refuse_strangers(path: Path) -> None:
    """Refuse a file beside which the files that it names are missing or changed.

    Raises:
        MrcontrastError: One is, or is not a file of this run or of a run beside it.
    """
    for file, sha256 in told(path, BESIDE).items():
        other = path.parent / file
        *above, _ = Path(file).parts or ("",)
        if above and not (len(above) == 2 and above[0] == ".." != above[1]):
            raise damaged(path, ValueError(f"the file {file} of another folder"))
        if not other.is_file() or sha256_file(other) != sha256:
            found = "another" if other.is_file() else "none"
            raise MrcontrastError(
                f"Expected a file with SHA-256 {str(sha256)[:12]} beside {path}, got {found} "
                f"({other}). Copy the whole model, with all its runs."
            )


def stored(path: Path, device: str = "cpu") -> dict[str, "Tensor"]:
    """Return the tensors that lie in the file itself.

    Raises:
        MrcontrastError: The file is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path, device=device)
    except (OSError, SafetensorError) as error:
        raise damaged(path, error) from error


def told(path: Path, key: str) -> dict:
    """Return a table of a file's metadata; empty if it has none.

    Raises:
        MrcontrastError: The file or its table is damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:  # without torch: it is only looked at
            table = json.loads((file.metadata() or {}).get(key, "{}"))
    except (OSError, ValueError, RecursionError, SafetensorError) as error:
        raise damaged(path, error) from error
    if not isinstance(table, dict):
        raise damaged(path, ValueError(f"no table under {key}"))
    return table


def damaged(path: Path, error: Exception) -> MrcontrastError:
    """Return the error of a file of tensors that cannot be read."""
    reason = one_line(error, most=200)
    return MrcontrastError(
        f"Expected tensors, got a damaged file: {reason} ({path}). Copy it again."
    )


def metadata_of(
    path: Path, equal: Mapping[str, tuple[str, str]], used: set[Path]
) -> dict[str, str] | None:
    """Return the metadata of a file; None where each tensor lies in the file by its own name."""
    if not equal:
        return None
    hashes = {relative(other, path): sha256_file(other) for other in used}
    tables = {EQUAL: equal, BESIDE: hashes}
    return {key: json.dumps(table, sort_keys=True) for key, table in tables.items()}


def umask() -> int:
    """Return what new files of this process may not be; it can only be read by setting it."""
    found = os.umask(0)
    os.umask(found)
    return found


def relative(other: Path, path: Path) -> str:
    """Return where a file lies as seen from another's folder, with forward slashes."""
    return Path(os.path.relpath(other, path.parent)).as_posix()


def fingerprint(tensor: "Tensor") -> str:
    """Return a hash of type, shape and bytes of a contiguous tensor on the CPU."""
    import torch

    digest = hashlib.sha256(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
    digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
