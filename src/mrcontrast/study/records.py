"""Record of a step of a study: state, hash, and the files of its output."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from mrcontrast.config.rules import TEXT, Rule, one_of, read_table
from mrcontrast.errors import MrcontrastError
from mrcontrast.storage.files import UNFINISHED, sha256_file, write_json

FINISHED, STARTED = "finished", "started"
MARK = ".step.json"  # in an output: the record of the step that made it


def are_files(value: Any) -> bool:  # noqa: ANN401
    """Return whether a value maps relative paths to three facts each."""
    return isinstance(value, dict) and all(
        isinstance(facts, list)
        and len(facts) == 3
        and not Path(name).is_absolute()
        and ".." not in Path(name).parts
        for name, facts in value.items()
    )


RULES: dict[str, Rule] = {
    "state": one_of(FINISHED, STARTED),
    "hash": ("a hash", lambda value: isinstance(value, str) and value != ""),
    "stamp": TEXT,
    "token": TEXT,
    "files": ("size, time and hash of files inside", are_files),
}


@dataclass(frozen=True)
class Record:
    """Record of a step, in the ledger and, as a mark, in the output itself."""

    state: str
    hash: str  # of the settings and the stamps of the inputs
    settings: Any = None
    seconds: float = 0.0
    stamp: str = ""  # random name of this result, in the hash of each step that reads it
    token: str = ""  # random, equal in ledger and mark; an output without it is not ours
    files: dict[str, list[Any]] = field(default_factory=dict)  # path -> bytes, mtime (ns), SHA-256

    def write(self, path: Path) -> None:
        """Write the record, completely or not at all."""
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> "Record | None":
        """Read a record; None if there is none, MrcontrastError if it is damaged."""
        if not path.is_file():
            return None
        known = {each.name for each in fields(cls)}
        return read_table(
            *(path, RULES, "the record of a step"),
            "Restore the file, or move it and the output of that step away.",
            lambda found: cls(**{key: found[key] for key in found.keys() & known}),
        )


def list_files(folder: Path, patterns: Sequence[str]) -> dict[str, list[Any]]:
    """Return size, modification time and SHA-256 of the files that match patterns."""
    found = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    listed = {}
    for path in sorted(found):
        if path.name != MARK:
            stat = path.stat()
            name = path.relative_to(folder).as_posix()
            listed[name] = [stat.st_size, stat.st_mtime_ns, sha256_file(path)]
    return listed


def missing_files(folder: Path, record: Record) -> list[str]:
    """Return the missing files of a record."""
    return [name for name in record.files if not (folder / name).is_file()]


def changed_files(folder: Path, record: Record) -> list[str]:
    """Return the files of a record whose content has changed.

    A file of the same size and time is not read, since data sets are large, unless its inode has
    changed after the mark: a tool may have restored the time.
    """
    changed = []
    mark = folder / MARK
    marked = mark.stat().st_mtime_ns if mark.is_file() else 0
    for name, (size, moment, sha256) in record.files.items():
        path = folder / name
        if not path.is_file():
            continue
        stat = path.stat()
        if [stat.st_size, stat.st_mtime_ns] == [size, moment] and stat.st_ctime_ns <= marked:
            continue
        if stat.st_size != size or sha256_file(path) != sha256:
            changed.append(name)
    return changed


def is_empty(path: Path) -> bool:
    """Return whether a path is absent, or a folder without finished files."""
    if path.is_symlink() or path.exists():
        return path.is_dir() and all(UNFINISHED.fullmatch(each.name) for each in path.iterdir())
    return True


def contents(files: Mapping[str, Sequence[Any]]) -> dict[str, str]:
    """Return the SHA-256 of each listed file."""
    return {name: facts[2] for name, facts in files.items()}


def damage(output: Path, record: Record) -> str | None:
    """Describe the damage of a finished output; None if it is as recorded."""
    if is_empty(output):
        return "its output is gone"
    if lost := missing_files(output, record):
        return f"{lost[0]} is gone" + (f" and {len(lost) - 1} more" if lost[1:] else "")
    if changed := changed_files(output, record):
        return f"{changed[0]} has changed since"
    return None


def readable(path: Path) -> Record | None:
    """Return a record; None if there is none, or a damaged one."""
    try:
        return Record.read(path)
    except MrcontrastError:
        return None


def foreign_outputs(paths: Sequence[Path], ledger: Path) -> MrcontrastError:
    """Return the error of outputs that a study has not made."""
    more = f" and {len(paths) - 3} more" if paths[3:] else ""
    return MrcontrastError(
        "Expected outputs of this study or nothing, got content that it has not made "
        f"({', '.join(map(str, paths[:3]))}{more}; its records are in {ledger}). "
        "Choose another out=, or move that away."
    )
