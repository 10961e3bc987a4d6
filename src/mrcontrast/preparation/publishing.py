"""Publish a data set whole: it is made in a hidden folder alongside and swapped in."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mrcontrast.data.record import MANIFEST
from mrcontrast.errors import MrcontrastError
from mrcontrast.preparation.outcome import SESSIONS, read_outcome
from mrcontrast.preparation.output import DESCRIPTION, own_files, refuse_others
from mrcontrast.storage.files import sha256_file
from mrcontrast.storage.folder_lock import held


@contextmanager
def staged(out: Path) -> Iterator[Path]:
    """Yield a folder alongside ``out`` that takes its place when the block succeeds.

    The folder has the same name each time, so that it still holds the sessions of an interrupted
    run. An earlier data set at ``out`` stays until then, and for good if the new one is the same;
    files of others in it (caches, notes) move to the new one. An interrupted swap is finished or
    taken back first. MrcontrastError: the operating system refuses, or another run works on it.
    """
    stage = out.with_name(f".{out.name}.partial")
    try:
        stage.parent.mkdir(parents=True, exist_ok=True)
        with _one_writer(out):
            recover(out)
            stage.mkdir(exist_ok=True)
            refuse_others(stage)
            try:
                yield stage
            except BaseException:
                if not any(stage.glob("sub-*")):
                    shutil.rmtree(stage)
                raise
            _publish(stage, out)
    except OSError as error:
        raise MrcontrastError(
            f"Expected a folder that can be written to, got the error: "
            f"{error.strerror or error} ({out}). Choose another out=."
        ) from error


def recover(out: Path) -> None:
    """Finish a swap that was interrupted, or take it back if the new data set is not in place."""
    name = re.escape(replaced(out).name) + r"(-\d+)?"  # earlier versions added a process id
    for old in sorted(path for path in out.parent.iterdir() if re.fullmatch(name, path.name)):
        if out.exists():
            _clear(old, out)
        else:
            old.rename(out)


def replaced(out: Path) -> Path:
    """Return the place of an earlier data set during a swap."""
    return out.with_name(f".{out.name}.replaced")


def same_data(stage: Path, out: Path) -> bool:
    """Return whether ``out`` already holds the tables and volumes of ``stage``."""
    names = [path.name for path in stage.glob("[!.]*") if path.is_file()]
    tables = [name for name in names if name.endswith((".tsv", ".yaml"))]
    volumes = [path for path in stage.glob("sub-*/**/*") if path.is_file()]
    pairs = [(path, out / path.relative_to(stage)) for path in volumes]
    return (
        all((out / name).is_file() for name in names)
        and all((stage / name).read_bytes() == (out / name).read_bytes() for name in tables)
        and all(new.is_file() for _, new in pairs)
        and all(a.samefile(b) or sha256_file(a) == sha256_file(b) for a, b in pairs)
    )


@contextmanager
def _one_writer(out: Path) -> Iterator[None]:
    """Raise MrcontrastError if another run works on the folder or swaps it in."""
    path = out.with_name(f".{out.name}.lock")
    with held(path, 0) as ours:
        if not ours:
            raise MrcontrastError(
                f"Expected one run at a time, got another one that prepares {out}. Wait for it."
            )
        try:
            yield
        finally:
            path.unlink(missing_ok=True)  # while it is held: never the lock of another run


def _publish(stage: Path, out: Path) -> None:
    """Put a finished data set in its place; a kill at any point is mended by ``recover``."""
    if same_data(stage, out):
        _keep_notes(stage, out)
        shutil.rmtree(stage)
        return
    old = replaced(out)
    if out.exists():
        out.rename(old)
    stage.rename(out)
    if old.exists():
        _clear(old, out)


def _keep_notes(stage: Path, out: Path) -> None:
    """Keep the outcomes of sessions that were repeated with the same result."""
    for path in (stage / SESSIONS).glob("*.json"):
        new, known = read_outcome(path.stem, stage), read_outcome(path.stem, out)
        if new is not None and (known is None or known.key != new.key):
            (out / SESSIONS).mkdir(exist_ok=True)
            path.replace(out / SESSIONS / path.name)
    description = stage / DESCRIPTION
    if description.is_file() and description.read_bytes() != (out / DESCRIPTION).read_bytes():
        description.replace(out / DESCRIPTION)


def _clear(old: Path, out: Path) -> None:
    """Remove our files from an earlier data set and move all others to the new one.

    The manifest lists our files, so it is removed last: after a kill the next run continues.
    """
    manifest = old / MANIFEST
    for path in own_files(old):
        if path != manifest:
            path.unlink(missing_ok=True)
    for path in sorted(old.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif path != manifest:
            target = out / path.relative_to(old)
            while target.is_symlink() or target.exists():
                target = target.with_name(f"earlier-{target.name}")
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)
    manifest.unlink(missing_ok=True)
    old.rmdir()
