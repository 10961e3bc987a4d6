"""Steps that are done once: what a study remembers between two starts."""

import hashlib
import json
import secrets
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mrcontrast.files import write_json

FINISHED, STARTED = "finished", "started"


@dataclass(frozen=True)
class Step:
    """One command of a study.

    Attributes:
        name: Unique, also a file name: "controlnet".
        title: What a person reads: "Train controlnet".
        output: Folder that the step makes; removed when it is out of date.
        settings: All that decides the result, as JSON.
        inputs: Names of the earlier steps whose outputs are read.
        run: Does the work, or goes on with it after an interruption.
        remark: Returns what a person should know before a finished result is used again, if any.
    """

    name: str
    title: str
    output: Path
    settings: Any
    run: Callable[[], None]
    inputs: tuple[str, ...] = ()
    remark: Callable[[], str | None] = lambda: None


@dataclass
class Ledger:
    """Which steps are finished, with the hash of what they depended on, one JSON file each.

    Each time that a step is finished it gets a fresh stamp, which the hashes of those that read its
    output contain. So they are done again whenever it was, be it with the settings that it had.

    Attributes:
        folder: Where the files lie.
        hashes: Hash of each step seen so far, by name.
        stamps: Stamp of each; the hash itself for a step that was finished before there were any.
    """

    folder: Path
    hashes: dict[str, str] = field(default_factory=dict)
    stamps: dict[str, str] = field(default_factory=dict)

    def is_finished(self, step: Step) -> bool:
        """Return whether a step's result is there and up to date; earlier steps come first."""
        self.hashes[step.name] = self.hash_of(step)
        entry = self.entry(step)
        self.stamps[step.name] = entry.get("stamp", self.hashes[step.name])
        current = entry.get("hash") == self.hashes[step.name] and step.output.exists()
        return current and entry.get("state") == FINISHED

    def run(self, step: Step) -> float:
        """Run a step, after removing what an out-of-date one left.

        Returns:
            Seconds it took.
        """
        if self.entry(step).get("hash") != self.hashes[step.name]:
            shutil.rmtree(step.output, ignore_errors=True)
        self.record(step, STARTED)
        began = time.monotonic()
        step.run()
        seconds = time.monotonic() - began
        stamp = self.stamps[step.name] = secrets.token_hex(8)
        self.record(step, FINISHED, {"seconds": round(seconds, 1), "stamp": stamp})
        return seconds

    def hash_of(self, step: Step) -> str:
        """Return a hash over a step's settings and the stamps of its inputs."""
        facts = [step.name, step.settings, [self.stamps[name] for name in step.inputs]]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def entry(self, step: Step) -> dict[str, Any]:
        """Return what was recorded of a step; empty if nothing was."""
        path = self.folder / f"{step.name}.json"
        entry: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
        return entry

    def record(self, step: Step, state: str, outcome: dict[str, Any] | None = None) -> None:
        """Write a step's file, whole."""
        known = {"state": state, "hash": self.hashes[step.name], "seconds": 0.0}
        entry = known | (outcome or {}) | {"settings": step.settings}
        write_json(self.folder / f"{step.name}.json", entry)
