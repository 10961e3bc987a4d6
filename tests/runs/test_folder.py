"""A run on disk."""

import json
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from mrcontrast.errors import MrcontrastError
from mrcontrast.runs.folder import RunFolder, software


@pytest.fixture
def finished(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    folder.write_config(OmegaConf.create({"stage": {"_target_": "torch.nn.Identity"}}))
    sha256 = folder.write_weights({"weight": torch.arange(6.0).reshape(2, 3)})
    folder.write_provenance({"weights_sha256": sha256})
    return folder


def test_weights_come_back_exactly_even_when_shared_or_strided(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    weight = torch.randn(2, 3)
    state = {"a": weight, "b": weight, "transposed": weight.T, "count": torch.tensor(3)}
    folder.write_config(OmegaConf.create({"stage": {"_target_": "torch.nn.Identity"}}))
    folder.write_provenance({"weights_sha256": folder.write_weights(state)})
    read = folder.read_weights()
    assert read.keys() == state.keys()
    assert all(torch.equal(read[name], value) for name, value in state.items())


def test_config_is_written_resolved(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.write_config(OmegaConf.create({"dims": 2, "stage": {"dims": "${dims}"}}))
    assert "${" not in folder.config_path.read_text()
    assert folder.config.stage.dims == 2


def test_a_run_is_finished_only_with_weights_and_their_hash(finished: RunFolder) -> None:
    assert finished.finished
    finished.write_provenance({"seed": 0})
    assert not finished.finished
    with pytest.raises(MrcontrastError, match="Expected a finished run"):
        finished.verify()


def test_changed_weights_are_refused(finished: RunFolder) -> None:
    finished.verify()
    content = bytearray(finished.weights_path.read_bytes())
    content[-1] ^= 1
    finished.weights_path.write_bytes(content)
    with pytest.raises(MrcontrastError, match="Expected weights with SHA-256"):
        finished.read_weights()


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(MrcontrastError, match=r"got none \(.*nowhere\)"):
        RunFolder(tmp_path / "nowhere").verify()


@pytest.mark.parametrize("name", ["config.yaml", "provenance.json"])
def test_a_broken_file_is_named(finished: RunFolder, name: str) -> None:
    (finished.path / name).write_text("{")
    with pytest.raises(MrcontrastError, match=name) as caught:
        _ = finished.config if name == "config.yaml" else finished.provenance
    assert "\n" not in str(caught.value)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MrcontrastError, match="Expected a place that can be written to"):
        RunFolder(tmp_path / "file" / "run").write_config(OmegaConf.create({}))


def test_software_can_be_stored() -> None:
    versions = json.loads(json.dumps(software()))["versions"]
    assert versions["torch"].startswith(torch.__version__.split("+")[0])
