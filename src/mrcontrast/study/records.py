"""The record of a step of a study: its state, its hash, and the files that it made."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from mrcontrast.errors import MrcontrastError, one_line
from mrcontrast.storage.files import UNFINISHED, remove_left_over, sha256_file, write_json

FINISHED, STARTED = "finished", "started"
MARK = ".step.json"  # in an output: the record of the step that made it


@dataclass(frozen=True)
class Record:
    """What is known of a step, in the ledger and, as a mark, in the output itself.

    Attributes:
        state: finished or started.
        hash: Of the settings and the stamps of the inputs.
        settings: As the step had them.
        seconds: That the work took.
        stamp: Of this result; the hashes of the steps that read it contain it.
        token: Random, the same in ledger and mark: an output without it was made by others.
        files: Size (bytes), modification time (ns) and SHA-256 of each file, by relative path.
    """

    state: str
    hash: str
    settings: Any = None
    seconds: float = 0.0
    stamp: str = ""
    token: str = ""
    files: dict[str, list[Any]] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write the record, whole."""
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> "Record | None":
        """Read a record; None if there is none.

        Raises:
            MrcontrastError: The file is cut short, or not a record.
        """
        if not path.is_file():
            return None
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            known = {each.name for each in fields(cls)}
            record = cls(**{key: value for key, value in content.items() if key in known})
            record.check()
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise MrcontrastError(
                f"Expected the record of a step, got: {one_line(error)} ({path}). "
                "Restore the file, or move it and the output of that step away."
            ) from error
        return record

    def check(self) -> None:
        """Raise ValueError if a value is not of its kind."""
        texts = (self.state, self.hash, self.stamp, self.token)
        if not all(isinstance(text, str) for text in texts) or not isinstance(self.files, dict):
            raise ValueError("values of other types")
        if self.state not in (FINISHED, STARTED) or not self.hash:
            raise ValueError(f"state {self.state!r}")
        for name, facts in self.files.items():
            inside = not Path(name).is_absolute() and ".." not in Path(name).parts
            if not inside or not isinstance(facts, list) or len(facts) != 3:
                raise ValueError(f"file {name!r}")


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
    """Return the files of a record that are no longer there."""
    return [name for name in record.files if not (folder / name).is_file()]


def changed_files(folder: Path, record: Record) -> list[str]:
    """Return the files of a record that are there with other content.

    One of the same size and time is not read again, since a data set may be large, unless its
    entry in the file system is younger than the mark: a tool may have set the time back.
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
    """Return whether there is nothing at a path, or a folder without finished files."""
    if path.is_symlink() or path.exists():
        return path.is_dir() and all(UNFINISHED.fullmatch(each.name) for each in path.iterdir())
    return True


def contents(files: Mapping[str, Sequence[Any]]) -> dict[str, str]:
    """Return the SHA-256 of each listed file; times do not count."""
    return {name: facts[2] for name, facts in files.items()}


def damage(output: Path, record: Record) -> str | None:
    """Return what a finished output lacks, in words; None if it is as it was recorded."""
    if is_empty(output):
        return "its output is gone"
    if lost := missing_files(output, record):
        return f"{lost[0]} is gone" + (f" and {len(lost) - 1} more" if lost[1:] else "")
    if changed := changed_files(output, record):
        return f"{changed[0]} has changed since"
    return None


def readable(path: Path) -> Record | None:
    """Return a record; None if there is none, or none that can be read."""
    try:
        return Record.read(path)
    except MrcontrastError:
        return None


def move(source: Path, target: Path) -> None:
    """Rename a folder, whole.

    Raises:
        MrcontrastError: The operating system refuses; the folder stays where it is.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        remove_left_over(target)
        source.rename(target)
    except OSError as error:
        raise MrcontrastError(
            f"Expected a folder that can be moved to {target}, got the error: "
            f"{error.strerror or error} ({source}). Move it away by hand."
        ) from error


def refuse_foreign(paths: Sequence[Path], ledger: Path) -> None:
    """Refuse to write where others have.

    Raises:
        MrcontrastError: There is such a place.
    """
    if paths:
        more = f" and {len(paths) - 3} more" if paths[3:] else ""
        raise MrcontrastError(
            "Expected outputs of this study or nothing, got content that it has not made "
            f"({', '.join(map(str, paths[:3]))}{more}; its records are in {ledger}). "
            "Choose another out=, or move that away."
        )
