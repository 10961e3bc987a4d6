"""`mrcontrast sync`: what it needs stands in the outbox; nobody's records are lost."""

import json
import os
import threading
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException

from mrcontrast.cli import main
from mrcontrast.tracking.outbox import OUTBOX, Outbox

URI = "http://host:5000"


class Store:
    """Takes tags, or does not answer."""

    def __init__(self, away: bool = False) -> None:
        self.away = away
        self.told: list[tuple[str, str]] = []

    def log_batch(self, run_id: str, tags: list) -> None:
        if self.away:
            raise MlflowException("refused")
        self.told += [(run_id, item.value) for item in tags]

    def log_artifact(self, run_id: str, path: str, folder: str | None) -> None:
        self.told.append((run_id, Path(path).read_text()))


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    """The store at ``URI``, back again."""
    stores = {URI: Store()}
    monkeypatch.setenv("MLFLOW_TRACKING_URI", URI)
    monkeypatch.setattr("mrcontrast.tracking.attachments.connect", stores.__getitem__)
    return stores[URI]


def waiting(folder: Path, run_id: str) -> Outbox:
    """Return the outbox of a folder in which a tag waits."""
    outbox = Outbox(Store(away=True), run_id, folder / OUTBOX, URI)  # type: ignore[arg-type]
    outbox.tags({"a": f"of {run_id}"})
    return outbox


def test_a_folder_without_a_config_is_sent(tmp_path: Path, store: Store) -> None:
    outbox = waiting(tmp_path / "sweep", "s")
    waiting(tmp_path / "sweep" / "job", "j")
    assert main(["sync", str(tmp_path)]) == 0
    assert sorted(store.told) == [("j", "of j"), ("s", "of s")]
    assert not outbox.path.exists()


def test_one_that_does_not_say_where_to_holds_up_no_other(
    tmp_path: Path, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    waiting(tmp_path / "b", "b")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / OUTBOX).write_text('{"tags": {"a": "of nobody"}}\n')
    assert main(["sync", str(tmp_path)]) == 1
    assert store.told == [("b", "of b")]
    out = capsys.readouterr().out
    assert out.count("Expected") == 1
    assert "says where to send" in out


def test_the_place_is_kept_when_only_some_could_be_sent(tmp_path: Path, store: Store) -> None:
    outbox = waiting(tmp_path, "r")
    assert not outbox.flush()
    assert [list(record) for record in outbox.waiting()] == [["tags"]]
    assert main(["sync", str(tmp_path)]) == 0
    assert store.told == [("r", "of r")]


def test_a_process_at_work_is_left_alone(
    tmp_path: Path, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    outbox = waiting(tmp_path, "r")
    with outbox.lock(0.0) as ours:
        assert ours
        assert main(["sync", str(tmp_path)]) == 1
    assert "a process is sending" in capsys.readouterr().out
    assert store.told == []
    assert len(outbox.waiting()) == 1


def test_a_record_waits_until_another_process_has_sent(tmp_path: Path) -> None:
    outbox, other = waiting(tmp_path, "r"), waiting(tmp_path, "r")
    before = outbox.waiting()
    with other.lock(0.0):
        assert not outbox.flush()
        late = threading.Thread(target=outbox.keep, args=[{"tags": {"b": "late"}}])
        late.start()
        late.join(0.2)
        assert late.is_alive()
        other.path.unlink()  # as after sending all
    late.join(30)
    assert before
    assert outbox.waiting() == [{"tags": {"b": "late"}}]
    assert outbox.path.read_text().startswith('{"to": ')


def received(folder: Path, *lines: object, uri: str = URI) -> Path:
    """Write an outbox that came from elsewhere, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    head = {"to": {"uri": uri, "run_id": "r"}}
    rows = [line if isinstance(line, str) else json.dumps(line) for line in (head, *lines)]
    (folder / OUTBOX).write_text("\n".join(rows) + "\n")
    return folder / OUTBOX


@pytest.mark.parametrize(
    "name", ["{secret}", "../secret.txt", "run/../../secret.txt", "link.txt", "linked/secret.txt"]
)
def test_no_file_from_outside_the_run_is_sent(
    tmp_path: Path, store: Store, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    run = tmp_path / "run"
    record = {"artifact": name.format(secret=secret), "folder": None}
    outbox = received(run, {"tags": {"a": "b"}}, record)
    (run / "link.txt").symlink_to(secret)
    (run / "linked").symlink_to(tmp_path)
    assert main(["sync", str(run)]) == 1
    assert store.told == []
    assert outbox.is_file()
    assert "Expected files below" in capsys.readouterr().out


def test_a_training_that_goes_on_sends_no_file_from_outside_either(
    tmp_path: Path, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    path = received(tmp_path / "run", {"artifact": "../secret.txt", "folder": None})
    outbox = Outbox(store, "r", path, URI)  # type: ignore[arg-type]
    assert outbox.flush()
    assert store.told == []
    assert "is no file below" in caplog.text


def test_files_of_the_run_are_sent(tmp_path: Path, store: Store) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.txt").write_text("picture")
    (tmp_path / "config.yaml").write_text("config")
    absolute = {"artifact": str(tmp_path / "config.yaml"), "folder": None}  # of earlier versions
    received(tmp_path, {"artifact": "pictures/a.txt", "folder": "pictures"}, absolute)
    assert main(["sync", str(tmp_path)]) == 0
    assert store.told == [("r", "picture"), ("r", "config")]


def test_a_file_from_elsewhere_waits_as_a_copy(tmp_path: Path, store: Store) -> None:
    report = tmp_path / "report" / "report.html"
    report.parent.mkdir()
    report.write_text("page")
    outbox = Outbox(Store(away=True), "r", tmp_path / "run" / OUTBOX, URI)  # type: ignore[arg-type]
    outbox.tags({"a": "first"})
    outbox.artifact(report, "report")
    assert main(["sync", str(tmp_path)]) == 0
    assert store.told == [("r", "first"), ("r", "page")]
    assert report.is_file()
    assert not any((tmp_path / "run").glob("[!.]*"))


def test_another_address_is_shown_and_needs_a_yes(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    outbox = received(tmp_path / "run", {"tags": {"a": "b"}})
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ours:5000")
    assert main(["sync", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert f"1 records, 0 files -> {URI}" in out
    assert f"Add --to {URI}" in out
    assert store.told == []
    assert outbox.is_file()
    assert main(["sync", str(tmp_path), "--to", URI]) == 0
    assert store.told == [("r", "b")]


def test_a_database_that_an_outbox_names_is_not_made(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/elsewhere/m.db"
    received(tmp_path / "run", {"tags": {"a": "b"}}, uri=uri)
    assert main(["sync", str(tmp_path / "run")]) == 1
    assert not (tmp_path / "elsewhere").exists()


def test_malformed_lines_are_told_of_in_one_line(
    tmp_path: Path, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = [5, [], "null", "{", {"tags": 5}, {"metrics": [["a", "b"]]}, {"artifact": 5}, {"x": 1}]
    received(tmp_path, *wrong, {"tags": {"a": "b"}}, {"status": "FINISHED"}, "[" * 100_000)
    assert main(["sync", str(tmp_path)]) == 0
    assert store.told == [("r", "b")]
    assert capsys.readouterr().out.count("no records") == 1


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b'{"to": 5}\n', b'{"to": {"uri": 5}}\n', b""])
def test_an_outbox_without_an_address_is_named(
    tmp_path: Path, store: Store, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    (tmp_path / OUTBOX).write_bytes(content)
    assert main(["sync", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert out.count("Expected") == 1
    assert str(tmp_path / OUTBOX) in out


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_an_outbox_that_is_no_file_is_named(
    tmp_path: Path, store: Store, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    path = tmp_path / "a" / OUTBOX
    path.parent.mkdir()
    make = {"pipe": os.mkfifo, "device": lambda p: p.symlink_to("/dev/zero"), "folder": Path.mkdir}
    make[kind](path)
    waiting(tmp_path / "b", "b")
    assert main(["sync", str(tmp_path)]) == 1
    assert store.told == [("b", "of b")]
    assert f"Expected records for MLflow, got: no regular file ({path})" in capsys.readouterr().out


def test_a_pipe_or_a_folder_is_not_sent(
    tmp_path: Path, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    records = [{"artifact": name, "folder": None} for name in ("pipe", ".")]
    outbox = received(tmp_path / "run", *records, {"tags": {"a": "b"}})
    os.mkfifo(tmp_path / "run" / "pipe")
    assert main(["sync", str(tmp_path)]) == 0
    assert store.told == [("r", "b")]
    assert not outbox.exists()
