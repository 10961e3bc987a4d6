"""MLflow beside a run, and the way from a record back to a stage."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from mrcontrast.errors import MrcontrastError
from mrcontrast.runs.folder import RunFolder
from mrcontrast.storage.files import write_text
from mrcontrast.tracking import references
from mrcontrast.tracking.attachments import attach_evaluation
from mrcontrast.tracking.loading import load_stage
from mrcontrast.tracking.no_tracker import recorded
from mrcontrast.tracking.outbox import OUTBOX, OUTBOXES
from mrcontrast.tracking.store import absolute_uri, artifact_location, connect
from mrcontrast.tracking.trackers import MlflowTracker
from toy.runs import mlflow_runs, toy_run, with_mlflow


@pytest.fixture
def tracker(tmp_path: Path) -> MlflowTracker:
    with_mlflow(tmp_path)
    return MlflowTracker(f"sqlite:///{tmp_path}/mlflow/mlflow.db", "mrcontrast", "toy")


def open_run(tracker: MlflowTracker, run_id: str | None = None) -> str:
    tracker.open(RunFolder("some/run"), OmegaConf.create({"stage": {"lr": 0.1}}), run_id)
    assert tracker.run_id is not None
    return tracker.run_id


def test_an_experiment_of_ours_opens_on_its_runs(tracker: MlflowTracker) -> None:
    open_run(tracker)
    found = tracker.client.get_experiment_by_name("mrcontrast")
    assert found.tags["mlflow.experimentKind"] == "custom_model_development"


def test_an_experiment_of_others_stays_as_it_is(tracker: MlflowTracker) -> None:
    client = connect(tracker.tracking_uri)
    client.create_experiment("mrcontrast", tags={"mlflow.experimentKind": "genai_development"})
    open_run(tracker)
    found = client.get_experiment_by_name("mrcontrast")
    assert found.tags["mlflow.experimentKind"] == "genai_development"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (None, "FINISHED"),
        (ValueError, "FAILED"),
        (KeyboardInterrupt, "KILLED"),
        (SystemExit, "KILLED"),
    ],
)
def test_status_tells_how_the_run_ended(
    tracker: MlflowTracker, error: type[BaseException] | None, status: str
) -> None:
    run_id = open_run(tracker)
    assert tracker.client.get_run(run_id).info.status == "RUNNING"
    if error is None:
        with recorded(tracker):
            pass
    else:
        with pytest.raises(error), recorded(tracker):
            raise error
    assert tracker.client.get_run(run_id).info.status == status


def test_a_stopped_run_is_taken_up_again(tracker: MlflowTracker, tmp_path: Path) -> None:
    run_id = open_run(tracker)
    tracker.close("KILLED")
    assert open_run(tracker, run_id) == run_id
    assert tracker.client.get_run(run_id).info.status == "RUNNING"
    assert len(mlflow_runs(tmp_path)) == 1


def test_a_run_that_the_server_forgot_is_replaced(tracker: MlflowTracker) -> None:
    assert open_run(tracker, "0" * 32) != "0" * 32


def test_records_that_wait_for_another_store_are_kept(
    tracker: MlflowTracker, tmp_path: Path
) -> None:
    run = RunFolder(tmp_path / "run")
    for number in range(2):
        write_text(run.path / OUTBOX, f"of run {number}")
        tracker.open(run, OmegaConf.create({}), "0" * 32)
    kept = sorted(path.read_text() for path in run.path.glob(OUTBOXES))
    assert kept == ["of run 0", "of run 1"]


def test_parameters_are_there_from_the_start(tracker: MlflowTracker) -> None:
    run_id = open_run(tracker)
    assert tracker.client.get_run(run_id).data.params == {"stage/lr": "0.1"}


def test_the_end_of_a_fit_is_not_the_end_of_the_run(tracker: MlflowTracker) -> None:
    run_id = open_run(tracker)
    (logger,) = tracker.loggers()
    logger.log_metrics({"val/loss": 0.5}, step=3)
    logger.finalize("success")
    run = tracker.client.get_run(run_id)
    assert (run.info.status, run.data.metrics) == ("RUNNING", {"val/loss": 0.5})


def test_a_store_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MrcontrastError, match="Expected an MLflow store"):
        connect(f"sqlite:///{tmp_path}/file/mlflow.db")


def test_addresses_do_not_depend_on_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    uri = absolute_uri("sqlite:///outputs/m.db")
    assert uri == f"sqlite:///{tmp_path}/outputs/m.db"
    assert absolute_uri(uri) == uri
    assert artifact_location(uri) == f"{tmp_path}/outputs/artifacts"
    assert absolute_uri("http://host:5000") == "http://host:5000"
    assert artifact_location("http://host:5000") is None


def test_a_stage_is_found_by_its_mlflow_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = toy_run(tmp_path, "a", "stage=toy_autoencoder", *with_mlflow(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow/mlflow.db")
    (run,) = mlflow_runs(tmp_path)
    assert run.info.run_id == folder.provenance["mlflow_run_id"]
    assert references.open_run(f"runs:/{run.info.run_id}").path == folder.path.resolve()
    with pytest.raises(MrcontrastError, match="Expected a run of mrcontrast"):
        references.open_run("runs:/" + "0" * 32)
    names = {artifact.path for artifact in connect_to(tmp_path).list_artifacts(run.info.run_id)}
    assert names == {"config.yaml", "provenance.json", "pictures"}


def connect_to(root: Path) -> object:
    return connect(f"sqlite:///{root}/mlflow/mlflow.db")


def test_a_loaded_stage_is_the_trained_one(tmp_path: Path) -> None:
    folder = toy_run(tmp_path, "a", "stage=toy_autoencoder")
    stage = load_stage(folder.path)
    assert not stage.training
    weights = folder.read_weights()
    assert stage.state_dict().keys() == weights.keys()
    assert all(torch.equal(value, weights[key]) for key, value in stage.state_dict().items())


def test_weights_that_do_not_fit_the_config_are_refused(tmp_path: Path) -> None:
    folder = toy_run(tmp_path, "a", "stage=toy_autoencoder")
    weights = folder.read_weights() | {"extra": torch.zeros(1)}
    folder.write_provenance({"weights_sha256": folder.write_weights(weights)})
    with pytest.raises(MrcontrastError, match=r"Expected weights that fit config.yaml.*extra"):
        load_stage(str(folder.path))


def test_an_evaluation_joins_the_record_of_its_run(tmp_path: Path) -> None:
    folder = toy_run(tmp_path, "a", "stage=toy_autoencoder", *with_mlflow(tmp_path))
    brain = {"psnr": {"mean": 20.5}, "ssim": {"mean": None}}
    summary = {"methods": {"mine": {"brain": brain}}}
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    page = tmp_path / "report" / "report.html"
    page.parent.mkdir()
    page.write_text("<html>")
    attach_evaluation(folder, "mine", tmp_path, page)
    (run,) = mlflow_runs(tmp_path)
    assert run.data.metrics["test/mine/psnr"] == 20.5
    assert "test/mine/ssim" not in run.data.metrics
    assert run.data.metrics["best_score"] == pytest.approx(folder.provenance["score"]["value"])
    client = connect(f"sqlite:///{tmp_path}/mlflow/mlflow.db")
    assert [item.path for item in client.list_artifacts(run.info.run_id, "report")] == [
        "report/report.html"
    ]


def test_a_run_without_a_record_has_nothing_to_join(tmp_path: Path) -> None:
    folder = toy_run(tmp_path, "a", "stage=toy_autoencoder")
    attach_evaluation(folder, "mine", tmp_path / "nowhere", tmp_path / "report.html")


CONNECT = """
import sys, time
from pathlib import Path
import mlflow.store.tracking.sqlalchemy_store
from mrcontrast.tracking.store import connect
folder = Path(sys.argv[1])
(folder / sys.argv[2]).touch()
while len(list(folder.glob("ready-*"))) < 2:
    time.sleep(0.001)
connect(f"sqlite:///{folder}/mlflow.db")
"""


def test_two_processes_that_start_together_share_a_new_database(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CONNECT, str(tmp_path)]
    processes = [subprocess.Popen([*command, f"ready-{number}"]) for number in range(2)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
