"""Steps that run once: the records of a study between two starts."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

from mrcontrast.errors import MrcontrastError, one_line
from mrcontrast.runs.identity import first_difference
from mrcontrast.storage.files import json_hash, move
from mrcontrast.study.records import (
    FINISHED,
    MARK,
    STARTED,
    Record,
    changed_files,
    contents,
    damage,
    foreign_outputs,
    is_empty,
    list_files,
    missing_files,
    readable,
)

EARLIER = "earlier"  # folder next to the ledger, of outdated outputs
LONGEST_VALUE = 80  # characters of a setting in a message


@dataclass(frozen=True)
class Step:
    """One command of a study."""

    name: str  # unique, also a file name: "controlnet"
    title: str  # for the terminal: "Train controlnet"
    output: Path  # folder that the step makes; moved aside when it is outdated
    settings: Any  # all that decides the result, as JSON
    run: Callable[[], None]  # also after an interruption
    inputs: tuple[str, ...] = ()  # earlier steps whose outputs it reads
    remark: Callable[[], str | None] = lambda: None  # a note on a reused result
    files: tuple[str, ...] = ("**/*",)  # patterns of the files that steps or readers need
    anchors: tuple[str, ...] = ()  # files without which the work cannot go on in its folder
    whole: bool = False  # the output appears in one piece when it is finished
    verify: Callable[[], object] = lambda: None  # MrcontrastError if a finished output is damaged


@dataclass
class Ledger:
    """Records of finished steps with the hashes of their dependencies, one JSON file each.

    A finished step gets a new stamp, which is part of the hash of the steps that read its output,
    so they run again. A step that is repeated with equal settings and files keeps its stamp.

    Only an output with the mark of this ledger's record is touched. An outdated one moves to
    ``earlier/STEP/HASH`` and is restored when a step has its hash again.
    """

    folder: Path  # of the records
    hashes: dict[str, str] = field(default_factory=dict)  # of each step seen so far
    stamps: dict[str, str] = field(default_factory=dict)  # the hash in versions without stamps

    def is_finished(self, step: Step) -> bool:
        """Return whether a step's result is complete and up to date; call it in order."""
        stamps = [self.stamps[name] for name in step.inputs]
        self.hashes[step.name] = json_hash([step.name, step.settings, stamps])
        record = self.record_of(step)
        self.stamps[step.name] = (record and record.stamp) or self.hashes[step.name]
        return record is not None and self.fault(step, record) is None

    def run(self, step: Step) -> float:
        """Run a step or restore its earlier result, and return the seconds it took.

        An output that this study has not made, or that cannot be moved, is MrcontrastError.
        """
        if self.restore(step) is not None and self.is_finished(step):
            return 0.0
        before = self.record_of(step)
        self.set_aside(step, before)
        known = before if before and before.hash == self.hashes[step.name] else None
        token = secrets.token_hex(8)
        if before is not None and not is_empty(step.output):
            token = before.token
        record = Record(STARTED, self.hashes[step.name], step.settings, token=token)
        if known is not None:
            record = replace(record, stamp=known.stamp, files=known.files)
        began = time.monotonic()
        self.work(step, record)
        if missing_files(step.output, record):  # the work has taken the rest for finished
            move(step.output, self.place(step, record))
            self.work(step, record)
        seconds = round(time.monotonic() - began, 1)
        self.finish(step, record, seconds)
        return seconds

    def work(self, step: Step, record: Record) -> None:
        """Record that a step was started, mark its output, and run it."""
        is_new = is_empty(step.output)
        record.write(self.path(step))
        if not (step.whole and is_new):
            record.write(step.output / MARK)
        step.run()

    def finish(self, step: Step, started: Record, seconds: float) -> None:
        """Record the end of a step, first in its output, so that a kill leaves no ambiguity."""
        if step.output.is_dir():
            started.write(step.output / MARK)
        files = list_files(step.output, step.files)
        same = bool(started.files) and contents(started.files).items() <= contents(files).items()
        stamp = started.stamp if same and started.stamp else secrets.token_hex(8)
        record = replace(started, state=FINISHED, seconds=seconds, stamp=stamp, files=files)
        if step.output.is_dir():
            record.write(step.output / MARK)
        record.write(self.path(step))
        self.stamps[step.name] = stamp

    def restore(self, step: Step) -> Path | None:
        """Restore an earlier state of a step with its hash, and return its place if finished."""
        place, mark = self.find_earlier(step)
        if place is None or mark is None:
            return None
        self.set_aside(step, self.record_of(step))
        mark.write(self.path(step))  # first: a kill here leaves a record without output
        move(place, step.output)
        self.stamps[step.name] = mark.stamp
        return place if mark.state == FINISHED else None

    def set_aside(self, step: Step, record: Record | None) -> None:
        """Move an outdated or damaged output away; raise MrcontrastError if it is not ours."""
        if not self.is_ours(step, record):
            raise foreign_outputs([step.output], self.folder)
        if record is None or is_empty(step.output) or self.may_go_on(step, record):
            return
        if not (step.output / MARK).is_file():
            record.write(step.output / MARK)  # so that it is found again
        move(step.output, self.place(step, record))

    def find_earlier(self, step: Step) -> tuple[Path | None, Record | None]:
        """Return an earlier state with the present hash, preferably a finished one."""
        record, wanted = self.record_of(step), self.hashes[step.name]
        shelf = self.folder.parent / EARLIER / step.name
        here = record is not None and not is_empty(step.output) and self.may_go_on(step, record)
        if here or not shelf.is_dir():
            return None, None
        found = []
        for place in sorted(shelf.iterdir()):
            mark = readable(place / MARK) if place.name.startswith(wanted[:12]) else None
            if mark is None or mark.hash != wanted:
                continue
            if mark.state == STARTED or damage(place, mark) is None:
                found.append((mark.state != FINISHED, place.name, place, mark))
        return min(found, key=lambda each: each[:2])[2:] if found else (None, None)

    def place(self, step: Step, record: Record) -> Path:
        """Return a free place for the present output of a step."""
        shelf = self.folder.parent / EARLIER / step.name
        names = (f"{record.hash[:12]}{'' if n == 1 else f'-{n}'}" for n in count(1))
        return next(shelf / name for name in names if is_empty(shelf / name))

    def is_ours(self, step: Step, record: Record | None) -> bool:
        """Return whether an output is empty or has the mark of its record."""
        if is_empty(step.output):
            return True
        if record is None or not record.token:
            return False
        mark = readable(step.output / MARK)
        if mark is None:  # killed between the last rename and the mark
            return step.whole and record.state == STARTED
        return mark.token == record.token

    def may_go_on(self, step: Step, record: Record) -> bool:
        """Return whether the work continues in its folder, interrupted or with files missing."""
        if record.hash != self.hashes[step.name]:
            return False
        if record.state == STARTED:
            return True
        lost = missing_files(step.output, record)
        return bool(lost) and not (
            set(lost) & set(step.anchors) or changed_files(step.output, record)
        )

    def fault(self, step: Step, record: Record) -> str | None:
        """Return the reason against a recorded result; None if it can be reused."""
        if record.hash != self.hashes[step.name]:
            difference = first_difference(record.settings, step.settings)
            if difference is None:
                return "an earlier step was done again"
            key, old, new = difference
            old, new = (one_line(ValueError(value), LONGEST_VALUE) for value in (old, new))
            return f"{key or 'its setting'} was {old} and is {new}"
        if record.state != FINISHED:
            return "it was interrupted"
        found = damage(step.output, record)
        if found is None:
            try:
                step.verify()
            except MrcontrastError as error:
                found = one_line(error)
        return found

    def path(self, step: Step) -> Path:
        """Return the file of a step's record."""
        return self.folder / f"{step.name}.json"

    def record_of(self, step: Step) -> Record | None:
        """Return the record of a step; None if it was never started."""
        return Record.read(self.path(step))
