"""What happens to records while a server is away."""

import json
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

from mrcontrast.tracking.outbox import Outbox


class Server:
    """Takes what `Outbox` sends, or does not answer."""

    def __init__(self) -> None:
        self.away = False
        self.told: list[tuple] = []

    def answer(self) -> None:
        if self.away:
            raise MlflowException("API request failed with exception: refused")

    def log_batch(
        self, run_id: str, metrics: list = (), params: list = (), tags: list = ()
    ) -> None:
        self.answer()
        if any(item.value == "wrong" for item in tags):
            raise MlflowException("bad tag", error_code=INVALID_PARAMETER_VALUE)
        self.told += [("metric", item.key, item.value, item.step) for item in metrics]
        self.told += [("tag", item.key, item.value) for item in tags]

    def log_artifact(self, run_id: str, path: str, folder: str | None) -> None:
        self.answer()
        self.told.append(("file", Path(path).read_text(), folder))

    def set_terminated(self, run_id: str, status: str, end_time: int) -> None:
        self.answer()
        self.told.append(("status", status))


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def outbox(server: Server, tmp_path: Path) -> Outbox:
    path = tmp_path / "outbox.jsonl"
    return Outbox(server, "run", path, "http://host:5000")  # type: ignore[arg-type]


def test_a_server_that_answers_is_told_at_once(server: Server, outbox: Outbox) -> None:
    outbox.metrics({"loss": 0.5}, step=3)
    assert server.told == [("metric", "loss", 0.5, 3)]
    assert not outbox.path.exists()


def test_records_wait_and_go_in_their_order(server: Server, outbox: Outbox, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("page")
    server.away = True
    for step in range(3):
        outbox.metrics({"loss": step / 2}, step)
    outbox.artifact(tmp_path / "page.html", "report")
    outbox.status("FINISHED")
    assert server.told == []
    assert not outbox.flush()
    server.away = False
    assert outbox.flush()
    assert server.told == [
        *(("metric", "loss", step / 2, step) for step in range(3)),
        ("file", "page", "report"),
        ("status", "FINISHED"),
    ]
    assert not outbox.path.exists()


def test_a_new_record_tries_again_after_a_while(server: Server, outbox: Outbox) -> None:
    server.away = True
    outbox.metrics({"loss": 1.0}, 1)
    server.away = False
    outbox.metrics({"loss": 2.0}, 2)  # too soon to ask again
    assert server.told == []
    outbox.retry_at = 0.0
    outbox.metrics({"loss": 3.0}, 3)
    assert [row[3] for row in server.told] == [1, 2, 3]


def test_the_time_is_that_of_the_event(server: Server, outbox: Outbox) -> None:
    server.away = True
    outbox.metrics({"loss": 1.0}, 1)
    (record,) = outbox.waiting()
    moment = record["metrics"][0][2]
    outbox.metrics({"loss": 1.0}, 2)
    assert outbox.waiting()[0]["metrics"][0][2] == moment


def test_what_a_server_refuses_does_not_hold_up_the_rest(
    server: Server, outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    outbox.tags({"a": "wrong"})
    outbox.tags({"b": "right"})
    assert server.told == [("tag", "b", "right")]
    assert "MLflow refuses tags: " in caplog.text


def test_a_file_that_is_gone_does_not_hold_up_the_rest(
    server: Server, outbox: Outbox, tmp_path: Path
) -> None:
    server.away = True
    outbox.artifact(tmp_path / "gone.png")
    outbox.status("FINISHED")
    server.away = False
    assert outbox.flush()
    assert server.told == [("status", "FINISHED")]


def test_a_line_cut_by_a_kill_is_left_out(server: Server, outbox: Outbox) -> None:
    server.away = True
    outbox.metrics({"loss": 1.0}, 1)
    with outbox.path.open("a") as file:
        file.write(json.dumps({"metrics": []})[:5])
    server.away = False
    assert outbox.flush()
    assert [row[:2] for row in server.told] == [("metric", "loss")]
