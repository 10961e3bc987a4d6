"""Records of a run for MLflow, kept in a file of the run folder while the server is away."""

import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mrcontrast.errors import one_line
from mrcontrast.storage.files import write_text
from mrcontrast.storage.folder_lock import held
from mrcontrast.tracking.records import ADDRESS, is_below, joined, parts, read_records

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

OUTBOX = "mlflow_outbox.jsonl"
OUTBOXES = "mlflow_outbox*.jsonl"  # those of earlier runs of a folder too
METRICS_A_BATCH, PARAMETERS_A_BATCH, LONGEST_VALUE = 1000, 100, 500  # limits of MLflow's servers
RETRY_SECONDS = 60.0
LOCK_SECONDS = 60.0  # a training waits no longer for a `mrcontrast sync`
FILES = "mlflow_outbox_files"  # folder of copies of files from other folders
REFUSALS = (400, 404, 409, 413, 422)


class Outbox:
    """Send the records of one MLflow run, and keep them in a file while no server answers.

    No error here ends a training: records that a server rejects are dropped with a warning, others
    wait, in order and with their times. Sending twice is harmless. The first line of the file holds
    the address for ``mrcontrast sync``.
    """

    def __init__(self, client: "MlflowClient", run_id: str, path: Path, uri: str) -> None:
        self.client = client
        self.run_id = run_id
        self.path = path
        self.head = json.dumps({ADDRESS: {"uri": uri, "run_id": run_id}}) + "\n"
        self.retry_at = 0.0

    def metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Send metrics of a step."""
        rows = [[name, float(value), now_ms(), step] for name, value in metrics.items()]
        self.send({"metrics": rows})

    def parameters(self, parameters: Mapping[str, Any]) -> None:
        """Send the settings of the run."""
        self.send({"parameters": {key: str(value) for key, value in parameters.items()}})

    def tags(self, tags: Mapping[str, str]) -> None:
        """Send tags."""
        self.send({"tags": dict(tags)})

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """Send a file, which is read when it is sent; one from another folder is copied now."""
        root, place = self.path.parent.absolute(), Path(path).absolute()
        if not place.is_relative_to(root):
            copy = root / FILES / hashlib.sha256(bytes(place)).hexdigest()[:8] / place.name
            try:
                copy.parent.mkdir(parents=True, exist_ok=True)
                place = Path(shutil.copyfile(place, copy))
            except OSError as error:
                log.warning("MLflow does not get %s: %s", place, one_line(error))
                return
        self.send({"artifact": place.relative_to(root).as_posix(), "folder": folder})

    def status(self, status: str) -> None:
        """Send RUNNING, FINISHED, FAILED or KILLED."""
        self.send({"status": status, "time_ms": now_ms()})

    def send(self, record: dict[str, Any]) -> None:
        """Send a record, or append it to those that wait."""
        if not self.path.exists():
            if self.deliver(record):
                return
            log.warning("MLflow does not answer: records wait in %s", self.path)
        self.keep(record)
        if time.monotonic() >= self.retry_at:
            self.flush()

    def keep(self, record: dict[str, Any]) -> None:
        """Append a record to the file while no other process sends it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.lock(LOCK_SECONDS), self.path.open("a", encoding="utf-8") as file:
            head = "" if file.tell() else self.head
            file.write(head + json.dumps(record) + "\n")

    def waiting(self) -> list[dict[str, Any]]:
        """Return the complete records that wait."""
        return read_records(self.path)[0] if self.path.exists() else []

    def flush(self) -> bool:
        """Send the waiting records unless another process does; return whether none is left."""
        if not self.path.exists():
            return True
        with self.lock(0.0) as ours:
            return ours and self.flush_alone()

    def flush_alone(self) -> bool:
        """Send the records that wait while ``lock`` is held; see ``flush``."""
        waiting, wrong = read_records(self.path) if self.path.exists() else ([], [])
        if wrong:
            values = (len(wrong), self.path, wrong[0])
            log.warning("%d lines that are no records are left out (%s, first in line %d)", *values)
        records = joined(waiting)
        for index, record in enumerate(records):
            if not self.deliver(record):
                lines = (json.dumps(left) + "\n" for left in records[index:])
                write_text(self.path, self.head + "".join(lines))
                return False
        if self.path.exists():
            self.path.unlink()
            log.info("MLflow answers again: %d records sent", len(records))
        return True

    def lock(self, seconds: float) -> AbstractContextManager[bool]:
        """Hold the file against other processes; see ``held``."""
        return held(self.path.with_name(f".{self.path.name}.lock"), seconds)

    def deliver(self, record: dict[str, Any]) -> bool:
        """Send one record, and return False if no server answers; a rejected one is dropped."""
        try:
            self.call(record)
        except Exception as error:  # requests, SQLAlchemy and the artifact stores raise their own
            reason = one_line(error, most=200)
            status = getattr(error, "get_http_status_code", lambda: None)()  # of MLflow's own
            if status not in REFUSALS and not isinstance(error, FileNotFoundError):
                self.retry_at = time.monotonic() + RETRY_SECONDS
                return False
            log.warning("MLflow refuses %s: %s", ", ".join(record), reason)
        self.remove_copy(record.get("artifact", ""))
        return True

    def remove_copy(self, name: str) -> None:
        """Remove a file that has been sent, if it is a copy of ours."""
        first, *rest = Path(name).parts or ("",)
        if first != FILES or len(rest) != 2 or not is_below(self.path.parent, name):
            return
        copy = self.path.parent / name
        copy.unlink(missing_ok=True)
        for folder in (copy.parent, copy.parent.parent):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()

    def call(self, record: dict[str, Any]) -> None:
        """Make the calls of one record."""
        from mlflow.entities import Metric, Param, RunTag

        match record:
            case {"metrics": rows}:
                for batch in parts([Metric(*row) for row in rows], METRICS_A_BATCH):
                    self.client.log_batch(self.run_id, metrics=batch)
            case {"parameters": items}:
                settings = [Param(key, value[:LONGEST_VALUE]) for key, value in items.items()]
                for batch in parts(settings, PARAMETERS_A_BATCH):
                    self.client.log_batch(self.run_id, params=batch)
            case {"tags": items}:
                self.client.log_batch(self.run_id, tags=[RunTag(*item) for item in items.items()])
            case {"artifact": name, "folder": folder}:
                path = (self.path.parent / name).resolve()
                if not (is_below(self.path.parent, name) and path.is_file()):
                    raise FileNotFoundError(f"{name} is no file below {self.path.parent}")
                self.client.log_artifact(self.run_id, str(path), folder)
            case {"status": "RUNNING"}:
                self.client.update_run(self.run_id, status="RUNNING")
            case {"status": status, "time_ms": moment}:
                self.client.set_terminated(self.run_id, status, moment)


def keep_waiting(path: Path) -> None:
    """Rename the outbox of an earlier run, so that ``mrcontrast sync`` still finds it."""
    if path.exists():
        names = (path.with_stem(f"{path.stem}-{n}") for n in count(1))
        place = path.rename(next(name for name in names if not os.path.lexists(name)))
        log.warning("Records of an earlier run wait in %s: `mrcontrast sync` sends them.", place)


def now_ms() -> int:
    """Return the Unix time in ms."""
    return int(time.time() * 1000)
