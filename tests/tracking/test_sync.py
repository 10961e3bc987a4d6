"""`mrcontrast sync`: what it needs stands in the outbox; nobody's records are lost."""

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


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    """The store at ``URI``, back again."""
    stores = {URI: Store()}
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
    assert "at work there" in capsys.readouterr().out
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
