"""Tensors in a safetensors file, each stored once: files before it are referred to."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mrcontrast.errors import MrcontrastError, one_line
from mrcontrast.storage.files import replacing, sha256_file

if TYPE_CHECKING:
    from torch import Tensor

EQUAL = "equal"  # metadata, JSON: name -> [file, name there]; file "" is this one
BESIDE = "beside"  # metadata, JSON: file, relative to this one -> its SHA-256
SMALL = 64  # elements; tensors of so few are always stored


def write_tensors(path: Path, tensors: Mapping[str, "Tensor"], beside: Sequence[Path] = ()) -> str:
    """Write tensors, equal ones once, and return the SHA-256 of the file.

    A tensor that a file in ``beside`` holds is not stored again; these files keep their places.
    """
    from safetensors.torch import save

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
    hashes = {name: sha256_file(o) for o in beside if (name := relative(o, path)) in files}
    tables = {EQUAL: equal, BESIDE: hashes} if equal else {}
    metadata = {key: json.dumps(table, sort_keys=True) for key, table in tables.items()}
    with replacing(path, durable=True) as unfinished:
        unfinished.write_bytes(save(own, metadata=metadata or None))
    return sha256_file(path)


def write_parts(
    path: Path, tensors: Mapping[str, "Tensor"], most: int, beside: Sequence[Path] = ()
) -> str:
    """Write as ``write_tensors`` does, to files NAME-1, NAME-2, ... of at most ``most`` bytes.

    The last part is ``path``, whose SHA-256 is returned.
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

    Call ``check_neighbours`` first. A damaged file is MrcontrastError.
    """
    own = stored(path, device)
    equal = table_of(path, EQUAL)
    files = {file: stored(path.parent / file, device) for file in table_of(path, BESIDE)}
    files[""] = own
    try:
        return own | {name: files[file][there] for name, (file, there) in equal.items()}
    except (KeyError, ValueError, TypeError) as error:
        raise damaged(path, error) from error


def check_neighbours(path: Path) -> None:
    """Check that the files that a file refers to are unchanged, of its run or one next to it."""
    for file, sha256 in table_of(path, BESIDE).items():
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
    """Return the tensors in the file itself; raise MrcontrastError if it is damaged."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path, device=device)
    except (OSError, SafetensorError) as error:
        raise damaged(path, error) from error


def table_of(path: Path, key: str) -> dict:
    """Return a table of a file's metadata, empty if absent; MrcontrastError if damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:  # without torch: only metadata is read
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


def relative(other: Path, path: Path) -> str:
    """Return the place of a file relative to another's folder, with forward slashes."""
    return Path(os.path.relpath(other, path.parent)).as_posix()


def fingerprint(tensor: "Tensor") -> str:
    """Return a hash of type, shape and bytes of a contiguous tensor on the CPU."""
    import torch

    digest = hashlib.sha256(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
    digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
