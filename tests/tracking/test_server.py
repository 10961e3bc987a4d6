"""A real `mlflow server` on loopback, which goes away in mid-training."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from mrcontrast.cli import main
from mrcontrast.commands.train import train
from mrcontrast.runs.folder import RunFolder
from mrcontrast.tracking.outbox import OUTBOX
from mrcontrast.tracking.references import open_run
from mrcontrast.tracking.store import connect
from toy.runs import empty_database, end_of, in_child, toy_config, toy_run, wait_for


class Server:
    """`mlflow server` over one SQLite file; it can go away and come back."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.folder = folder
        self.uri = f"http://127.0.0.1:{self.port}"
        (folder / "m.db").write_bytes(empty_database().read_bytes())

    def start(self) -> None:
        options = {
            "--host": "127.0.0.1",
            "--port": str(self.port),
            "--workers": "1",
            "--backend-store-uri": f"sqlite:///{self.folder}/m.db",
            "--artifacts-destination": str(self.folder / "artifacts"),
        }
        words = [word for option in options.items() for word in option]
        quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        with (self.folder / "server.txt").open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", "server", *words],
                env=os.environ | quiet,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_for(self.answers, 300)

    def answers(self) -> bool:
        assert self.process.poll() is None, (self.folder / "server.txt").read_text()
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=5) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def stop(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    server.start()
    yield server
    if server.process.poll() is None:
        server.stop()


def train_beside(root: Path, server: Server) -> int:
    config = toy_config(
        root,
        "stage=toy_autoencoder",
        "name=toy",
        "logger=mlflow",
        f"logger.tracking_uri={server.uri}",
        "stage.seconds_a_step=0.3",
        "trainer.max_steps=20",
        "trainer.log_every_n_steps=1",
        "save_every_n_steps=1",
    )
    train(config)
    return 0


def check_record(server: Server, folder: RunFolder) -> None:
    """Compare what the server knows with the run folder's own metrics."""
    client = connect(server.uri)
    run_id = folder.provenance["mlflow_run_id"]
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags["mrcontrast.data_hash"] == "data"
    assert run.data.params["stage/lr"] == "0.01"
    history = client.get_metric_history(run_id, "train/loss")
    rows = [line.split(",") for line in folder.metrics_path.read_text().splitlines()]
    expected = {int(step): float(value) for step, name, value in rows[1:] if name == "train/loss"}
    assert len(expected) == 20
    assert {item.step: item.value for item in history} == pytest.approx(expected, rel=1e-6)
    assert history[-1].timestamp > history[0].timestamp
    assert {artifact.path for artifact in client.list_artifacts(run_id)} == {
        "config.yaml",
        "pictures",
        "provenance.json",
    }
    assert len(client.list_artifacts(run_id, "pictures")) == 11


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_server_that_goes_away_loses_nothing(
    tmp_path: Path, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder(tmp_path / "runs" / "toy")
    process = in_child(lambda: train_beside(tmp_path, server))
    wait_for(lambda: folder.last_checkpoint.exists(), 600)
    server.stop()
    assert end_of(process) == 0  # the training came to its end
    assert folder.finished
    assert (folder.path / OUTBOX).exists()
    assert main(["sync", str(tmp_path), "--to", server.uri]) == 1
    assert "does not answer" in capsys.readouterr().out
    server.start()
    assert main(["sync", str(tmp_path), "--to", server.uri]) == 0
    assert not (folder.path / OUTBOX).exists()
    check_record(server, folder)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_training_killed_without_its_server_goes_on_in_the_same_run(
    tmp_path: Path, server: Server
) -> None:
    folder = RunFolder(tmp_path / "runs" / "toy")
    process = in_child(lambda: train_beside(tmp_path, server))
    wait_for(lambda: folder.last_checkpoint.exists(), 600)
    server.stop()
    wait_for(lambda: (folder.path / OUTBOX).exists(), 600)
    time.sleep(1)
    os.kill(process, signal.SIGKILL)
    assert end_of(process) == -signal.SIGKILL
    server.start()
    assert train_beside(tmp_path, server) == 0
    assert not (folder.path / OUTBOX).exists()
    check_record(server, folder)
    client = connect(server.uri)
    experiment = client.get_experiment_by_name("mrcontrast")
    assert len(client.search_runs([experiment.experiment_id])) == 1


@pytest.mark.slow
def test_a_server_that_never_was_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from toy.runs import arguments

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    address = "logger.tracking_uri=http://127.0.0.1:9"
    overrides = arguments(tmp_path, "stage=toy_autoencoder", "logger=mlflow", address)
    assert main(["train", *overrides]) == 1
    assert "Start its server, set logger.tracking_uri, or add logger=none." in (
        capsys.readouterr().err
    )


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_model_is_downloaded_once_from_a_server(
    tmp_path: Path, server: Server, prepared_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = ["data=prepared", f"data.root={prepared_root}", "data.augmentation=null"]
    record = ["logger=mlflow", f"logger.tracking_uri={server.uri}"]
    run = toy_run(tmp_path, "table", "stage=lookup", *record, *data)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    assert main(["register", str(run.path), "--name", "flair2t1w", "--alias", "best"]) == 0
    monkeypatch.setenv("MRCONTRAST_OUTPUTS", str(tmp_path / "elsewhere"))
    found = open_run("models:/flair2t1w@best")
    assert found.path.is_relative_to(tmp_path / "elsewhere")
    assert found.verify() == run.verify()
    before = found.weights_path.stat().st_mtime_ns
    assert open_run("models:/flair2t1w/1").weights_path.stat().st_mtime_ns == before
