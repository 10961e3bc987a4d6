"""What MLflow has yet to be told: a file in the run folder, for a server that is away."""

import json
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mrcontrast.errors import one_line
from mrcontrast.files import write_text
from mrcontrast.tracking.locks import held

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

OUTBOX = "mlflow_outbox.jsonl"
METRICS_A_BATCH, PARAMETERS_A_BATCH, LONGEST_VALUE = 1000, 100, 500  # limits of MLflow's servers
RETRY_SECONDS = 60.0
LOCK_SECONDS = 60.0  # longer than this no training waits for a `mrcontrast sync`
ADDRESS = "to"  # key of the first line: where the others go
REFUSALS = (400, 404, 409, 413, 422)


class Outbox:
    """Tell one MLflow run what happens; keep it in a file while the server does not answer.

    Nothing that goes wrong here ends a training: what a server refuses is said and dropped, what
    it does not take is kept, in order, with the time that it happened. Sending again is harmless.
    The first line of the file says where the others go, so that ``mrcontrast sync`` needs no more.

    Args:
        client: Of the store.
        run_id: The run.
        path: The file; it is there only while something waits.
        uri: Address of the store.
    """

    def __init__(self, client: "MlflowClient", run_id: str, path: Path, uri: str) -> None:
        self.client = client
        self.run_id = run_id
        self.path = path
        self.head = json.dumps({ADDRESS: {"uri": uri, "run_id": run_id}}) + "\n"
        self.retry_at = 0.0

    def metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Tell metrics of a step."""
        rows = [[name, float(value), now_ms(), step] for name, value in metrics.items()]
        self.send({"metrics": rows})

    def parameters(self, parameters: Mapping[str, Any]) -> None:
        """Tell the settings of the run."""
        self.send({"parameters": {key: str(value) for key, value in parameters.items()}})

    def tags(self, tags: Mapping[str, str]) -> None:
        """Tell tags."""
        self.send({"tags": dict(tags)})

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """Hand a file over; it is read when it is sent."""
        self.send({"artifact": str(Path(path).absolute()), "folder": folder})

    def status(self, status: str) -> None:
        """Tell RUNNING, FINISHED, FAILED or KILLED."""
        self.send({"status": status, "time_ms": now_ms()})

    def send(self, record: dict[str, Any]) -> None:
        """Send a record, or keep it behind those that wait."""
        if not self.path.exists():
            if self.deliver(record):
                return
            log.warning("MLflow does not answer: records wait in %s", self.path)
        self.keep(record)
        if time.monotonic() >= self.retry_at:
            self.flush()

    def keep(self, record: dict[str, Any]) -> None:
        """Append a record to the file, between two flushes of whoever sends."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.lock(LOCK_SECONDS), self.path.open("a", encoding="utf-8") as file:
            head = "" if file.tell() else self.head
            file.write(head + json.dumps(record) + "\n")

    def waiting(self) -> list[dict[str, Any]]:
        """Return the records that wait; a line cut short by a kill is left out."""
        if not self.path.exists():
            return []
        lines = read_lines(self.path.read_text(encoding="utf-8"))
        return [record for record in lines if ADDRESS not in record]

    def flush(self) -> bool:
        """Send what waits, unless another process is about it.

        Returns:
            Whether nothing waits any more.
        """
        if not self.path.exists():
            return True
        with self.lock(0.0) as ours:
            return ours and self.flush_alone()

    def flush_alone(self) -> bool:
        """Send what waits; see ``flush``."""
        records = joined(self.waiting())
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
        return held(self.path, seconds)

    def deliver(self, record: dict[str, Any]) -> bool:
        """Send one record.

        Returns:
            False when the server does not answer; a record that it refuses is dropped.
        """
        try:
            self.tell(record)
        except Exception as error:  # requests, SQLAlchemy and the artifact stores raise their own
            reason = one_line(error, most=200)
            if is_refusal(error):
                log.warning("MLflow refuses %s: %s", ", ".join(record), reason)
                return True
            self.retry_at = time.monotonic() + RETRY_SECONDS
            return False
        return True

    def tell(self, record: dict[str, Any]) -> None:
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
            case {"artifact": path, "folder": folder}:
                self.client.log_artifact(self.run_id, path, folder)
            case {"status": "RUNNING"}:
                self.client.update_run(self.run_id, status="RUNNING")
            case {"status": status, "time_ms": moment}:
                self.client.set_terminated(self.run_id, status, moment)


def address_of(path: Path) -> tuple[str, str] | None:
    """Return the address of the store and the id of the run that an outbox names, if it does."""
    with path.open(encoding="utf-8") as file:
        first = next(read_lines(file.readline()), {})
    address = first.get(ADDRESS)
    return None if address is None else (address["uri"], address["run_id"])


def joined(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Join neighbouring metrics, which a long absence leaves by the thousand, into one record.

    >>> joined([{"metrics": [["a", 1.0, 5, 1]]}, {"metrics": [["a", 2.0, 6, 2]]}, {"tags": {}}])
    [{'metrics': [['a', 1.0, 5, 1], ['a', 2.0, 6, 2]]}, {'tags': {}}]
    """
    out: list[dict[str, Any]] = []
    for record in records:
        if "metrics" in record and out and "metrics" in out[-1]:
            out[-1] = {"metrics": [*out[-1]["metrics"], *record["metrics"]]}
        else:
            out.append(record)
    return out


def parts(items: list[Any], size: int) -> Iterator[list[Any]]:
    """Yield the items, so many at a time."""
    return (items[start : start + size] for start in range(0, len(items), size))


def read_lines(text: str) -> Iterator[dict[str, Any]]:
    """Yield the records of whole lines."""
    for line in text.splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            log.warning("A record for MLflow was cut short and is lost: %s", line[:80])


def now_ms() -> int:
    """Return the time as MLflow counts it."""
    return int(time.time() * 1000)


def is_refusal(error: Exception) -> bool:
    """Return whether a server answered, and would refuse the same again; a lost file counts."""
    from mlflow.exceptions import MlflowException

    if isinstance(error, FileNotFoundError):
        return True
    return isinstance(error, MlflowException) and error.get_http_status_code() in REFUSALS
