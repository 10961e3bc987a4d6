"""One job of a sweep on disk: its task, its progress, and the process that holds it."""

import hashlib
import json
import os
import platform
import re
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from mrcontrast.config import rules
from mrcontrast.config.option_names import renamed_node
from mrcontrast.config.rules import FINITE, TEXT, TEXT_TABLE, one_of, optional, whole
from mrcontrast.errors import MrcontrastError
from mrcontrast.runs.folder import RunFolder
from mrcontrast.storage.files import write_json
from mrcontrast.storage.folder_lock import held

WAITING, RUNNING, FINISHED, FAILED, STOPPED = "waiting", "running", "finished", "failed", "stopped"
JOB, LOCK, LOG, EVENTS = "job.json", ".lock", "log.txt", "events.csv"
PROGRESS = ("state", "attempts", "score", "steps", "seconds", "error", "process")
FOLDER_NAME = re.compile(r"[A-Za-z0-9_+-][A-Za-z0-9._+-]*")  # of a job; see ``short_name``
RULES = {
    "command": one_of("train", "study"),
    "state": one_of(WAITING, RUNNING, FINISHED, FAILED, STOPPED),
    "mode": one_of("min", "max"),
    "overrides": rules.TEXTS,
    "varied": TEXT_TABLE,
    "identity": (TEXT_TABLE[0], lambda value: isinstance(value, str) or TEXT_TABLE[1](value)),
    "searched": rules.TABLE,
    **dict.fromkeys(("number", "attempts"), whole(0)),
    "steps": optional(whole(0)),
    "score": optional(FINITE),
    "seconds": FINITE,
    "parent_run": optional(TEXT),
    **dict.fromkeys(("monitor", "error", "process"), TEXT),
}


@dataclass
class Job:
    """One training or study of a sweep, which is recorded in ``job.json`` of its folder."""

    folder: Path  # run folder or study folder
    command: str
    overrides: list[str]  # all, folder and name last
    varied: dict[str, str]  # the overrides in which jobs differ, key -> value as typed
    identity: dict[str, str]  # see ``identity_of``; empty for a job of an earlier version
    number: int = 0  # place in the sweep, from 1
    parent_run: str | None = None  # MLflow run of the sweep
    state: str = WAITING  # running: until its lock is free
    attempts: int = 0
    score: float | None = None  # None before the end, or without validation
    monitor: str = "score"
    mode: str = "max"  # the better direction of the score
    steps: int | None = None  # of a finished training
    seconds: float = 0.0  # of the last attempt
    error: str = ""
    process: str = ""  # host and process id of the last attempt
    searched: dict[str, Any] = field(default_factory=dict)  # varied as plain values, for Optuna

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.folder.name

    @classmethod
    def read(cls, folder: str | Path) -> "Job":
        """Read a job's file; raise MrcontrastError if it is missing or has other content."""

        def make(found: dict[str, Any]) -> Job:
            identity = found["identity"]  # a text in earlier versions
            known = {**found, "identity": {} if isinstance(identity, str) else identity}
            return cls(folder=Path(folder), **known)

        advice = "Restore the file, or move its folder out of the sweep."
        return rules.read_table(Path(folder) / JOB, RULES, "a job of a sweep", advice, make)

    def save(self) -> None:
        """Write the job's file, completely or not at all."""
        content = {key: value for key, value in asdict(self).items() if key != "folder"}
        write_json(self.folder / JOB, content)

    def offer(self) -> str:
        """Set the job to waiting unless it is worked on or finished, and return its state."""
        with self.lock(0) as ours:
            if not ours:
                self.state = RUNNING
                return self.state
            if (self.folder / JOB).is_file():
                now = Job.read(self.folder)
                for key in PROGRESS:
                    setattr(self, key, getattr(now, key))
            lost = self.command == "train" and not RunFolder(self.folder).weights_path.is_file()
            if self.state != FINISHED or lost:  # a study checks its own steps
                self.state = WAITING
                self.save()
        return self.state

    def begin(self) -> None:
        """Record that this process works on the job."""
        self.state, self.error = RUNNING, ""
        self.attempts += 1
        self.process = f"{platform.node()}:{os.getpid()}"
        self.save()
        self.note("started")

    def end(self, state: str, seconds: float = 0.0, error: str = "") -> None:
        """Record the end of an attempt."""
        self.state, self.seconds, self.error = state, round(seconds, 1), error
        self.save()
        self.note(state)

    def note(self, event: str) -> None:
        """Append a line to the sweep's events by one short write; a link is not followed."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S")
        line = f"{moment},{self.name},{event},{self.attempts},{platform.node()}:{os.getpid()}\n"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
        with os.fdopen(os.open(self.folder.parent / EVENTS, flags, 0o666), "a") as file:
            file.write(line)

    def lock(self, seconds: float = -1) -> AbstractContextManager[bool]:
        """Hold the job and yield whether it succeeded; see ``held``."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return held(self.folder / LOCK, seconds)

    def is_worked_on(self) -> bool:
        """Return whether a process holds the job, of this sweep or an earlier one."""
        if not (self.folder / LOCK).exists():
            return False
        with self.lock(0) as ours:
            return not ours

    def is_lost(self) -> bool:
        """Return whether the job was running and no process holds it any more."""
        return self.state == RUNNING and not self.is_worked_on()


def read_jobs(folder: Path) -> list[Job]:
    """Return the jobs of a sweep in order; folders with other names than a job's are ignored."""
    found = sorted(path.parent for path in folder.glob(f"*/{JOB}"))
    jobs = [Job.read(path) for path in found if FOLDER_NAME.fullmatch(path.name)]
    return sorted(jobs, key=lambda job: job.number)


def short_name(varied: Mapping[str, str], longest: int = 80) -> str:
    """Return varied overrides as a name that shells, file systems and overrides take unquoted.

    >>> short_name({"stage.a.lr": "1", "stage.b.lr": "2", "autoencoder": "outputs/runs/small"})
    'a.lr_1+b.lr_2+autoencoder_small'
    """
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


def monitor_of(command: str, config: DictConfig) -> tuple[str, str]:
    """Return the name of the score, and "min" or "max" for the better direction."""
    if command == "train":
        return str(config.stage.checkpoint.monitor), str(config.stage.checkpoint.mode)
    wanted = config.objective
    return f"{method_of(config)}/{wanted.region}/{wanted.metric}", str(wanted.mode)


def method_of(config: DictConfig) -> str:
    """Return the method that ranks a study: the configured one, or the last unshuffled one."""
    if config.objective.method is not None:
        return str(config.objective.method)
    predicted = {name: renamed_node(node) for name, node in config.study.predict.items()}
    return str([name for name, node in predicted.items() if not node.get("shuffle_source")][-1])


def score_of(config: DictConfig) -> float:
    """Return the mean score of a finished study; MrcontrastError if it is not in its results."""
    method, wanted = method_of(config), config.objective
    keys = ("methods", method, wanted.region, wanted.metric, "mean")
    for path in sorted(Path(config.out).glob("evaluation*/summary.json")):
        node: Any = json.loads(path.read_text(encoding="utf-8"))
        for key in keys:
            node = node.get(key) if isinstance(node, dict) else None
        if node is not None:
            return float(node)
    raise MrcontrastError(
        f"Expected {'/'.join(keys[1:4])} in the study's evaluation, got none ({config.out}). "
        "Set objective.method, objective.region and objective.metric."
    )
