"""One job of a sweep on disk: what it is to do, how far it is, and who works on it."""

import json
import os
import platform
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, get_type_hints

from filelock import FileLock, Timeout

from mrcontrast.errors import MrcontrastError, one_line
from mrcontrast.runs.folder import RunFolder
from mrcontrast.storage.files import write_json
from mrcontrast.sweeps.foreign import append_line, refuse_content

WAITING, RUNNING, FINISHED, FAILED, STOPPED = "waiting", "running", "finished", "failed", "stopped"
JOB, LOCK, LOG, EVENTS = "job.json", ".lock", "log.txt", "events.csv"
PROGRESS = ("state", "attempts", "score", "steps", "seconds", "error", "process")
FOLDER_NAME = re.compile(r"[A-Za-z0-9_+-][A-Za-z0-9._+-]*")  # of a job; see ``short_name``


@dataclass
class Job:
    """One training or study of a sweep; its folder is the run folder or the study's.

    Attributes:
        folder: Where ``job.json`` and all results lie.
        command: "train" or "study".
        overrides: What it is composed with, its folder and name included.
        varied: The overrides in which jobs differ, key -> value as typed.
        identity: Hashes of what decides the result, see ``identity_of``; empty for a job of an
            earlier version.
        number: Place in the sweep, from 1.
        parent_run: MLflow run of the sweep.
        state: waiting, running (until its lock is free), finished, failed or stopped.
        attempts: How often it was started.
        score: What the sweep ranks by; None before the end, or if nothing was validated.
        monitor: Name of the score.
        mode: "min" or "max": which score is better.
        steps: Optimiser steps of a finished training; None if unknown, and for a study.
        seconds: Of the attempt that ended it.
        error: Why it failed, one line.
        process: Host and process id of the last attempt.
    """

    folder: Path
    command: str
    overrides: list[str]
    varied: dict[str, str]
    identity: dict[str, str]
    number: int = 0
    parent_run: str | None = None
    state: str = WAITING
    attempts: int = 0
    score: float | None = None
    monitor: str = "score"
    mode: str = "max"
    steps: int | None = None
    seconds: float = 0.0
    error: str = ""
    process: str = ""
    searched: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.folder.name

    @classmethod
    def read(cls, folder: str | Path) -> "Job":
        """Read a job's file.

        Raises:
            MrcontrastError: It is missing or not the file of a job.
        """
        path = Path(folder) / JOB
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(content, dict) and isinstance(content.get("identity"), str):
                content["identity"] = {}
            refuse_content(content, get_type_hints(cls))
            return cls(folder=Path(folder), **content)
        except (OSError, ValueError, TypeError) as error:
            raise MrcontrastError(
                f"Expected a job of a sweep, got: {one_line(error)} ({path}). Restore the file, or "
                "move its folder out of the sweep."
            ) from error

    def save(self) -> None:
        """Write the job's file, whole."""
        content = {key: value for key, value in asdict(self).items() if key != "folder"}
        write_json(self.folder / JOB, content)

    @property
    def deciding_overrides(self) -> list[str]:
        """Overrides without folder and name, which come last."""
        return self.overrides[:-2]

    def carried_into(
        self, new: "Job", searched: Mapping[str, Any], overrides: Sequence[str]
    ) -> "Job":
        """Return a job of today with the folder, number and progress of this one."""
        progress = {key: getattr(self, key) for key in PROGRESS}
        return replace(
            new,
            folder=self.folder,
            number=self.number,
            overrides=list(overrides),
            searched=dict(searched) or self.searched,
            **progress,
        )

    def offer(self) -> str:
        """Let the job wait for a process, unless one works on it or has finished it since.

        Returns:
            Its state: waiting, running or finished.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.folder / LOCK, timeout=0):
                self.refresh()
                if self.state != FINISHED or not self.has_result():
                    self.state = WAITING
                    self.save()
        except Timeout:
            self.state = RUNNING
        return self.state

    def has_result(self) -> bool:
        """Return whether the weights of a training are there; a study looks at its own steps."""
        return self.command != "train" or RunFolder(self.folder).weights_path.is_file()

    def refresh(self) -> None:
        """Read again how far it is."""
        if (self.folder / JOB).is_file():
            now = Job.read(self.folder)
            for key in PROGRESS:
                setattr(self, key, getattr(now, key))

    def begin(self) -> None:
        """Note that this process works on it from now on."""
        self.state, self.error = RUNNING, ""
        self.attempts += 1
        self.process = f"{platform.node()}:{os.getpid()}"
        self.save()
        self.note("started")

    def end(self, state: str, seconds: float = 0.0, error: str = "") -> None:
        """Note how it ended."""
        self.state, self.seconds, self.error = state, round(seconds, 1), error
        self.save()
        self.note(state)

    def note(self, event: str) -> None:
        """Append a line to the sweep's events; one short write is never torn."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S")
        line = f"{moment},{self.name},{event},{self.attempts},{platform.node()}:{os.getpid()}\n"
        append_line(self.folder.parent / EVENTS, line)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Work alone on the job; the system frees it when a process dies, however it does."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / LOCK):
            yield

    def is_worked_on(self) -> bool:
        """Return whether a process holds the job, be it one that outlived its sweep."""
        if not (self.folder / LOCK).exists():
            return False
        try:
            with FileLock(self.folder / LOCK, timeout=0):
                return False
        except Timeout:
            return True

    def is_lost(self) -> bool:
        """Return whether it was running and nobody works on it any more."""
        return self.state == RUNNING and not self.is_worked_on()


def read_jobs(folder: Path) -> list[Job]:
    """Return the jobs of a sweep in their order; a folder that no sweep names so is none."""
    found = sorted(path.parent for path in folder.glob(f"*/{JOB}"))
    jobs = [Job.read(path) for path in found if FOLDER_NAME.fullmatch(path.name)]
    return sorted(jobs, key=lambda job: job.number)


def better(ours: float | None, theirs: float | None, mode: str) -> bool:
    """Return whether a score beats another; any beats none.

    >>> better(2.0, 1.0, "max"), better(2.0, 1.0, "min"), better(None, 1.0, "max")
    (True, False, False)
    """
    if ours is None or theirs is None:
        return ours is not None
    return ours > theirs if mode == "max" else ours < theirs


def short_name(varied: Mapping[str, str], longest: int = 80) -> str:
    """Return varied overrides as a name that shells, file systems and overrides take unquoted.

    >>> short_name({"stage.optimisation.optimizer.lr": "1e-3", "seed": "1"})
    'lr_1e-3+seed_1'
    >>> short_name({"stage.a.lr": "1", "stage.b.lr": "2", "autoencoder": "outputs/runs/small"})
    'a.lr_1+b.lr_2+autoencoder_small'
    >>> short_name({})
    'default'
    """
    import hashlib

    keys = {key: key.lstrip("+~").replace("/", ".").split(".") for key in varied}
    lasts = [parts[-1] for parts in keys.values()]
    shown = {
        key: ".".join(parts[-2:] if lasts.count(parts[-1]) > 1 else parts[-1:])
        for key, parts in keys.items()
    }
    pieces = [f"{shown[key]}_{value.rstrip('/').split('/')[-1]}" for key, value in varied.items()]
    name = re.sub(r"[^A-Za-z0-9._+-]+", "_", "+".join(pieces)).strip("_") or "default"
    if len(name) <= longest:
        return name
    full = "+".join(f"{key}={value}" for key, value in varied.items())
    return f"{name[:longest]}-{hashlib.sha256(full.encode()).hexdigest()[:8]}"
