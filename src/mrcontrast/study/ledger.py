"""Steps that are done once: what a study remembers between two starts."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

from mrcontrast.errors import MrcontrastError, one_line
from mrcontrast.runs.identity import first_difference
from mrcontrast.storage.files import json_hash
from mrcontrast.study.records import (
    FINISHED,
    MARK,
    STARTED,
    Record,
    changed_files,
    contents,
    damage,
    is_empty,
    list_files,
    missing_files,
    move,
    readable,
    refuse_foreign,
)

EARLIER = "earlier"  # folder beside the ledger: outputs that are out of date
LONGEST_VALUE = 80  # characters of a setting in a message


@dataclass(frozen=True)
class Step:
    """One command of a study.

    Attributes:
        name: Unique, also a file name: "controlnet".
        title: For the terminal: "Train controlnet".
        output: Folder that the step makes; moved aside when it is out of date.
        settings: All that decides the result, as JSON.
        inputs: Names of the earlier steps whose outputs are read.
        run: Does the work, or goes on with it after an interruption.
        remark: Returns a note on a finished result that is used again, if there is one.
        files: Patterns of the files in the output that other steps or readers need.
        anchors: Files without which the work cannot go on in the same folder.
        whole: The output appears in one piece when it is finished.
        verify: Raises MrcontrastError if a finished output is damaged beyond what files tell.
    """

    name: str
    title: str
    output: Path
    settings: Any
    run: Callable[[], None]
    inputs: tuple[str, ...] = ()
    remark: Callable[[], str | None] = lambda: None
    files: tuple[str, ...] = ("**/*",)
    anchors: tuple[str, ...] = ()
    whole: bool = False
    verify: Callable[[], object] = lambda: None


@dataclass
class Ledger:
    """Which steps are finished, with the hash of what they depended on, one JSON file each.

    Each time that a step is finished it gets a fresh stamp, which the hashes of the steps that read
    its output contain, so they are done again. A step that was repeated with the same settings and
    made the same files keeps its stamp.

    An output is touched only if it holds the mark of this ledger's record. One that is out of date
    moves to ``earlier/STEP/HASH`` and comes back when its hash is asked for again.

    Attributes:
        folder: Where the files lie.
        hashes: Hash of each step seen so far, by name.
        stamps: Stamp of each; the hash itself for a step that was finished before there were any.
    """

    folder: Path
    hashes: dict[str, str] = field(default_factory=dict)
    stamps: dict[str, str] = field(default_factory=dict)

    def is_finished(self, step: Step) -> bool:
        """Return whether a step's result is there, whole and up to date; earlier steps come first.

        Raises:
            MrcontrastError: The record of the step cannot be read.
        """
        self.hashes[step.name] = self.hash_of(step)
        record = self.record_of(step)
        self.stamps[step.name] = (record and record.stamp) or self.hashes[step.name]
        return record is not None and self.fault(step, record) is None

    def run(self, step: Step) -> float:
        """Run a step, or take up its earlier result; an output that is out of date moves aside.

        Returns:
            Seconds it took.

        Raises:
            MrcontrastError: The output was not made by this study, or cannot be moved.
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
        if missing_files(step.output, record):  # the work takes the rest for finished
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
        """Record the end of a step: first in its output, so that a kill leaves no doubt."""
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
        """Bring an earlier state of a step back that has the hash of today.

        Returns:
            Where it was; None if there is none, or if it is unfinished and has to go on.
        """
        place, mark = self.find_earlier(step)
        if place is None or mark is None:
            return None
        self.set_aside(step, self.record_of(step))
        mark.write(self.path(step))  # first: a kill here leaves a record without output
        move(place, step.output)
        self.stamps[step.name] = mark.stamp
        return place if mark.state == FINISHED else None

    def set_aside(self, step: Step, record: Record | None) -> None:
        """Move an output away that is out of date or damaged, whole.

        Raises:
            MrcontrastError: The output was not made by this study, or cannot be moved.
        """
        if not self.is_ours(step, record):
            refuse_foreign([step.output], self.folder)
        if record is None or is_empty(step.output) or self.may_go_on(step, record):
            return
        if not (step.output / MARK).is_file():
            record.write(step.output / MARK)  # so that it is found again
        move(step.output, self.place(step, record))

    def find_earlier(self, step: Step) -> tuple[Path | None, Record | None]:
        """Return an earlier state with the hash of today, finished rather than started."""
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
        """Return where the present output of a step goes when it moves aside."""
        shelf = self.folder.parent / EARLIER / step.name
        names = (f"{record.hash[:12]}{'' if n == 1 else f'-{n}'}" for n in count(1))
        return next(shelf / name for name in names if is_empty(shelf / name))

    def is_ours(self, step: Step, record: Record | None) -> bool:
        """Return whether nothing lies in an output but the work that the record tells of."""
        if is_empty(step.output):
            return True
        if record is None or not record.token:
            return False
        mark = readable(step.output / MARK)
        if mark is None:  # killed between the last rename and the mark
            return step.whole and record.state == STARTED
        return mark.token == record.token

    def may_go_on(self, step: Step, record: Record) -> bool:
        """Return whether the work goes on in its folder: it was interrupted, or lacks files."""
        if record.hash != self.hashes[step.name]:
            return False
        if record.state == STARTED:
            return True
        lost = missing_files(step.output, record)
        return bool(lost) and not (
            set(lost) & set(step.anchors) or changed_files(step.output, record)
        )

    def fault(self, step: Step, record: Record) -> str | None:
        """Return why a recorded result cannot be used as it is; None if it can."""
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

    def hash_of(self, step: Step) -> str:
        """Return a hash over a step's settings and the stamps of its inputs."""
        facts = [step.name, step.settings, [self.stamps[name] for name in step.inputs]]
        return json_hash(facts)

    def path(self, step: Step) -> Path:
        """Return the file of a step's record."""
        return self.folder / f"{step.name}.json"

    def record_of(self, step: Step) -> Record | None:
        """Return the record of a step; None if it was never started."""
        return Record.read(self.path(step))
