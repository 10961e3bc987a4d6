"""A run under a name and an alias, and the way back to it."""

import warnings
from pathlib import Path

import numpy as np
import pytest

from mrcontrast.cli import main
from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.runs.folder import RunFolder
from mrcontrast.tracking.references import open_run
from mrcontrast.tracking.registry import registry_at
from mrcontrast.tracking.store import connect
from toy.runs import toy_run, with_mlflow


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(scope="module")
def run(outputs: Path, prepared_root: Path) -> RunFolder:
    data = ["data=prepared", f"data.root={prepared_root}", "data.augmentation=null"]
    return toy_run(outputs, "table", "stage=lookup", *with_mlflow(outputs), *data)


@pytest.fixture(scope="module")
def registered(outputs: Path, run: RunFolder) -> str:
    uri = f"sqlite:///{outputs}/mlflow/mlflow.db"
    words = ["register", str(run.path), "--name", "flair2t1w", "--alias", "best"]
    assert main([*words, "--tracking-uri", uri]) == 0
    return uri


@pytest.fixture(autouse=True)
def address(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MRCONTRAST_OUTPUTS", str(outputs))


def test_a_model_is_found_by_its_alias(outputs: Path, registered: str, run: RunFolder) -> None:
    for reference in ("models:/flair2t1w@best", "models:/flair2t1w/1"):
        found = open_run(reference)
        assert found.path != run.path
        assert found.path.is_relative_to(outputs / "mlflow")
        assert found.verify() == run.verify()
    assert not (Path.cwd() / "mlruns").exists()


def test_a_moved_alias_says_from_where(
    registered: str, run: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["register", str(run.path), "--name", "twice", "--alias", "best"]
    assert main(words) == 0
    assert "was version" not in capsys.readouterr().out
    assert main(words) == 0
    assert "models:/twice@best: version 2, was version 1, in" in capsys.readouterr().out


def test_a_name_that_is_an_address_is_refused(
    run: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["register", str(run.path), "--name", "a/b:c"]) == 2
    assert "Expected a name without" in capsys.readouterr().err


def test_the_registry_says_where_a_model_comes_from(registered: str, run: RunFolder) -> None:
    version = connect(registered).get_model_version_by_alias("flair2t1w", "best")
    assert version.run_id == run.provenance["mlflow_run_id"]
    assert version.tags["mrcontrast.weights_sha256"] == run.verify()
    assert version.tags["mrcontrast.split_hash"] == run.provenance["split_hash"]


def test_a_model_translates(registered: str, prepared_root: Path, tmp_path: Path) -> None:
    source = next(prepared_root.glob("sub-05/anat/*_FLAIR.nii.gz"))
    output = tmp_path / "T1w.nii.gz"
    arguments = ["translate", str(source), str(output), "--model", "models:/flair2t1w@best"]
    assert main([*arguments, "--device", "cpu"]) == 0
    assert output.is_file()


def test_a_model_serves_what_its_signature_says(registered: str) -> None:
    import mlflow

    with registry_at(registered), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = mlflow.pyfunc.load_model("models:/flair2t1w@best")
        assert str(model.metadata.signature.inputs.inputs[0].type) == "float32"
        example = model.input_example
        synthetic = model.predict(example)
    assert example.shape == synthetic.shape == (1, 16, 16, 16)
    assert 0 <= synthetic.min() < synthetic.max() <= 1
    assert np.all(synthetic[example == 0] == 0)


def test_unknown_models_are_named(registered: str) -> None:
    with pytest.raises(MrcontrastError, match=r"Expected a registered model.*other@best"):
        open_run("models:/other@best")
    with pytest.raises(UsageError, match="Expected models:/NAME@ALIAS"):
        open_run("models:/flair2t1w")


def test_an_unfinished_run_is_not_registered(
    outputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.yaml").write_text("stage: {}\n")
    assert main(["register", str(tmp_path), "--name", "x"]) == 1
    assert "Expected a finished run" in capsys.readouterr().err


def test_a_run_does_not_choose_where_it_is_registered(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ours:5000")
    assert main(["register", str(run.path), "--name", "flair2t1w"]) == 2
    assert "Add --tracking-uri URI to choose." in capsys.readouterr().err


def test_every_command_takes_a_registered_model(
    registered: str, run: RunFolder, tmp_path: Path
) -> None:
    assert main(["export", "models:/flair2t1w@best", "--out", str(tmp_path / "model")]) == 0
    assert open_run(tmp_path / "model" / "run").stage_name == "baselines"
    by_id = f"runs:/{run.provenance['mlflow_run_id']}"
    assert main(["export", by_id, "--out", str(tmp_path / "other")]) == 0
    assert main(["register", by_id, "--name", "by-id"]) == 0


def test_a_version_of_a_server_cannot_leave_the_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from types import SimpleNamespace

    from mrcontrast.tracking import registry

    monkeypatch.setenv("MRCONTRAST_OUTPUTS", str(tmp_path / "outputs"))
    for name, number in (("../../x", "1"), ("..", "1"), ("a", "1/../../x")):
        version = SimpleNamespace(name=name, version=number)
        monkeypatch.setattr(registry, "find_version", lambda *_, v=version: v)
        with pytest.raises(MrcontrastError, match="Expected the name of a model"):
            registry.fetch_model("models:/a@best", "http://host:5000")
    assert list(tmp_path.iterdir()) == []
