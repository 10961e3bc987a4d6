"""A model folder is data: each command that takes one runs no code of it and notices a change."""

import hashlib
import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from mrcontrast.cli import main
from mrcontrast.commands.estimate import training_configs
from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.inference.from_run import from_run
from mrcontrast.runs import released
from mrcontrast.runs.folder import RunFolder
from mrcontrast.runs.provenance import read_provenance
from mrcontrast.tracking.loading import load_stage
from mrcontrast.tracking.references import open_run
from toy.runs import arguments, toy_run

LOOKUP = "mrcontrast.stages.baselines.IntensityLookup"
SETTINGS = {"name": "percentile-0-100", "clip": True}


@pytest.fixture(autouse=True)
def only_these_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mrcontrast.commands.doctor.MODELS", tmp_path / "no released models")


@pytest.fixture
def lookup(tmp_path: Path) -> RunFolder:
    """A finished run that turns x into 1 - x, below outputs/runs."""
    folder = RunFolder(tmp_path / "outputs" / "runs" / "lookup")
    stage = {"_target_": LOOKUP, "levels": 101, "spatial_dims": 2}
    folder.write_config(OmegaConf.create({"stage": stage, "spatial_dims": 2, "seed": 0}))
    sha256 = folder.write_weights({"table": torch.linspace(1, 0, 101)})
    data = {"spacing_mm": 5.0, "shape": [32, 40, 24]}
    data |= {"normaliser_flair": SETTINGS, "normaliser_t1w": SETTINGS}
    folder.write_provenance({"stage": "baselines", "weights_sha256": sha256, "data": data})
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_run(tmp_path_factory.mktemp("toy"), "autoencoder", "stage=toy_autoencoder").path


@pytest.fixture
def parent(trained: Path, tmp_path: Path) -> RunFolder:
    return RunFolder(shutil.copytree(trained, tmp_path / "outputs" / "runs" / "autoencoder"))


Words = Callable[[RunFolder, Path, Path], list[str]]
COMMANDS: dict[str, Words] = {
    "translate": lambda run, root, data: [
        *("translate", str(next(data.glob("sub-05/anat/*_FLAIR.nii.gz"))), str(root / "o.nii.gz")),
        *("--model", str(run.path), "--device", "cpu"),
    ],
    "export": lambda run, root, _: ["export", str(run.path), "--out", str(root / "model")],
    "register": lambda run, root, _: [
        *("register", str(run.path), "--name", "x", "--tracking-uri", f"sqlite:///{root}/m/m.db")
    ],
    "info": lambda run, root, _: ["info", "--outputs", str(root / "outputs")],
}
TRAININGS = {
    "parent": "stage=toy_diffusion autoencoder",
    "start": "stage=toy_autoencoder start_from",
}


def attack(folder: RunFolder, marker: Path, key: str, kind: str) -> None:
    """Let a run's config write to a marker as it is built, with hashes that fit."""
    config = folder.config
    if kind == "write":
        node = {"_target_": "mrcontrast.storage.files.write_text", "path": str(marker), "text": "x"}
    elif kind == "copy":
        node = {"_target_": "shutil.copyfile", "src": str(folder.config_path), "dst": str(marker)}
    else:
        file = marker.with_suffix(".pkl")
        file.write_bytes(pickle.dumps(Payload(str(marker))))
        node = {"_target_": "pandas.read_pickle", "filepath_or_buffer": str(file)}
    OmegaConf.update(config, key, node, force_add=True)
    folder.write_config(config)
    folder.write_provenance(folder.provenance)


class Payload:
    """Opens a file for writing as it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return open, (self.path, "w")


def refused(words: list[str], named: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that has to end with exit code 1 and one line that names a file."""
    assert main(words) == 1
    out, err = capsys.readouterr()
    lines = [line for line in (out + err).splitlines() if "Expected" in line]
    assert len(lines) == 1
    assert str(named) in lines[0]
    assert "Traceback" not in err
    return lines[0]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("kind", ["write", "copy", "pickle"])
def test_a_model_runs_no_code(
    command: str,
    kind: str,
    lookup: RunFolder,
    tmp_path: Path,
    prepared_root: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    marker = tmp_path / "marker"
    attack(lookup, marker, "stage.levels", kind)
    line = refused(COMMANDS[command](lookup, tmp_path, prepared_root), lookup.config_path, capsys)
    assert "Expected a known part of a model" in line
    left = {path.name for path in tmp_path.iterdir()}
    assert left <= {"outputs", "marker.pkl"}


@pytest.mark.parametrize("training", TRAININGS)
@pytest.mark.parametrize("kind", ["write", "pickle"])
def test_a_training_builds_nothing_of_an_earlier_run_unseen(
    training: str,
    kind: str,
    parent: RunFolder,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    marker = tmp_path / "marker"
    attack(parent, marker, "stage.autoencoder", kind)
    words = ["train", *arguments(tmp_path, *f"{TRAININGS[training]}={parent.path}".split())]
    refused([*words, "name=child"], parent.config_path, capsys)
    assert not marker.exists()
    assert not (tmp_path / "runs").exists()


def test_an_estimate_builds_nothing_of_it_either(lookup: RunFolder, tmp_path: Path) -> None:
    attack(lookup, tmp_path / "marker", "stage.levels", "write")
    node = {"overrides": ["stage=latent_diffusion"], "parents": {"autoencoder": str(lookup.path)}}
    with pytest.raises(MrcontrastError, match="Expected a known part of a model"):
        training_configs(OmegaConf.create({"common": [], "train": {"a": node}}))
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_changed_config_is_refused(
    command: str,
    lookup: RunFolder,
    tmp_path: Path,
    prepared_root: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lookup.config_path.write_text(lookup.config_path.read_text() + "# a remark\n")
    line = refused(COMMANDS[command](lookup, tmp_path, prepared_root), lookup.config_path, capsys)
    assert "Expected a config with SHA-256" in line


@pytest.mark.parametrize("training", TRAININGS)
def test_a_training_refuses_a_changed_config(
    training: str, parent: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parent.config_path.write_text(parent.config_path.read_text() + "# a remark\n")
    words = ["train", *arguments(tmp_path, *f"{TRAININGS[training]}={parent.path}".split())]
    line = refused([*words, "name=child"], parent.config_path, capsys)
    assert "Expected a config with SHA-256" in line


def test_a_trained_and_an_exported_run_carry_the_hash(parent: RunFolder, tmp_path: Path) -> None:
    assert main(["export", str(parent.path), "--out", str(tmp_path / "model")]) == 0
    for folder in (parent, RunFolder(tmp_path / "model" / "autoencoder")):
        recorded = folder.provenance["config_sha256"]
        assert recorded == hashlib.sha256(folder.config_path.read_bytes()).hexdigest()


def test_a_run_of_an_earlier_version_works_and_says_so_once(
    parent: RunFolder, caplog: pytest.LogCaptureFixture
) -> None:
    older = parent.provenance
    del older["config_sha256"]
    parent.provenance_path.write_text(json.dumps(older))
    for _ in range(2):
        load_stage(parent.path)
    assert caplog.text.count("has no hash of its config.yaml") == 1


def test_a_released_name_is_the_released_model(
    lookup: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(lookup.path, tmp_path / "phantom-2d")
    shutil.copytree(lookup.path, tmp_path / "phantom-2d" / "unet")
    monkeypatch.chdir(tmp_path)
    for name, run in (("phantom-2d", "controlnet"), ("phantom-2d/unet", "unet")):
        assert open_run(name).path == released.MODELS / "phantom-2d" / run
        assert open_run(f"./{name}").path == open_run(Path(name)).path == Path(name)
        assert open_run(tmp_path / name).path == tmp_path / name
    for outside in ("..", "../models", "phantom-2d/..", "phantom-2d/../phantom-3d", "."):
        assert released.released_run(outside) is None
    with pytest.raises(UsageError, match="an empty name"):
        open_run("")


def test_a_path_stays_a_path_in_every_command(
    lookup: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(lookup.path, tmp_path / "phantom-2d")
    monkeypatch.chdir(tmp_path)
    assert main(["export", "./phantom-2d", "--out", "model"]) == 0
    assert RunFolder("model/phantom-2d").stage_name == "baselines"
    translator = from_run("./phantom-2d", device="cpu")
    assert translator.grid.shape == (32, 40, 24)
    assert type(load_stage("./phantom-2d")).__name__ == "IntensityLookup"


def test_nothing_is_imported_from_the_folder(
    lookup: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prepared_root: Path
) -> None:
    marker = tmp_path / "marker"
    for name in ("sitecustomize", "usercustomize", "numpy", "yaml", "monai", "evil_parts"):
        file = lookup.path / f"{name}.py"
        file.write_text(f"open({str(marker)!r}, 'w')\n")
    config = lookup.config
    config.stage.levels = {"_target_": "evil_parts.Part"}
    lookup.write_config(config)
    lookup.write_provenance(lookup.provenance)
    monkeypatch.chdir(lookup.path)
    assert main(COMMANDS["translate"](lookup, tmp_path, prepared_root)) == 1
    assert "evil_parts" not in sys.modules
    command = [sys.executable, "-m", "mrcontrast", "cache"]  # imports numpy and yaml
    done = subprocess.run(command, cwd=lookup.path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not marker.exists()


WRONG = {
    "": ["[]", "5", '"text"', "null", "{", "[" * 100_000, "\xff"],
    "weights_sha256": ["5", "null", "[]"],
    "config_sha256": ["5", "null", "{}"],
    "stage": ["5", "[]"],
    "parents": ["[]", "null", '{"a": 5}', '"text"'],
    "start_from": ["[]", '"text"', "{}", '{"weights_sha256": 5}'],
    "score": ["5", '{"value": "high"}', '{"value": true}'],
    "versions": ["[]"],
    "data": [
        *('"text"', "[]", '{"shape": 5}', '{"shape": [1, 2]}', '{"shape": ["a", 1, 1]}'),
        *('{"spacing_mm": "2"}', '{"spacing_mm": -2}', '{"normaliser_flair": 5}'),
    ],
}


@pytest.mark.parametrize("key", WRONG)
def test_a_provenance_of_wrong_types_is_named(key: str, tmp_path: Path) -> None:
    path = tmp_path / "provenance.json"
    for value in WRONG[key]:
        path.write_text(f'{{"{key}": {value}}}' if key else value, encoding="latin-1")
        with pytest.raises(
            MrcontrastError, match=rf"^Expected .*{path}.*Restore the file"
        ) as caught:
            read_provenance(path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("file", ["provenance.json", "config.yaml"])
@pytest.mark.parametrize("text", ["", "[]", "[1, 2]"])
def test_a_broken_file_of_a_model_is_one_line(
    command: str,
    file: str,
    text: str,
    lookup: RunFolder,
    tmp_path: Path,
    prepared_root: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (lookup.path / file).write_text(text)
    if file == "config.yaml":
        lookup.write_provenance(lookup.provenance)
    words = COMMANDS[command](lookup, tmp_path, prepared_root)
    refused(words, lookup.path / ("provenance.json" if file.startswith("p") else file), capsys)


@pytest.mark.parametrize(
    ("command", "facts"),
    [
        ("translate", None),
        ("translate", {}),
        ("translate", {"shape": [1, 1, 1]}),
        ("register", None),
        ("register", {}),
    ],
)
def test_a_model_that_does_not_say_its_grid_is_one_line(
    command: str,
    facts: object,
    lookup: RunFolder,
    tmp_path: Path,
    prepared_root: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lookup.write_provenance(lookup.provenance | {"data": facts})
    words = COMMANDS[command](lookup, tmp_path, prepared_root)
    refused(words, lookup.provenance_path, capsys)


def tensor(**more: object) -> dict:
    return {"dtype": "F32", "shape": [101], "data_offsets": [0, 404]} | more


HEADERS: dict[str, dict] = {
    "huge": {"table": tensor(shape=[2**62, 4], data_offsets=[0, 2**62])},
    "overlapping": {"table": tensor(), "b": tensor()},
    "beyond the end": {"table": tensor(data_offsets=[0, 4040], shape=[1010])},
    "backwards": {"table": tensor(data_offsets=[404, 0])},
    "of another size": {"table": tensor(shape=[7])},
    "of no type": {"table": tensor(dtype="F128")},
    "negative": {"table": tensor(shape=[-101])},
    "metadata": {"table": tensor(), "__metadata__": {"equal": "[1]"}},
    "equal to nothing": {"table": tensor(), "__metadata__": {"equal": '{"a": ["", "b"]}'}},
    "equal to a number": {"table": tensor(), "__metadata__": {"equal": '{"a": 5}'}},
    "beside, elsewhere": {"table": tensor(), "__metadata__": {"beside": '{"/etc/passwd": "a"}'}},
    "beside, above": {"table": tensor(), "__metadata__": {"beside": '{"../../a": "a"}'}},
}


@pytest.mark.parametrize("header", [*HEADERS, "cut", "empty", "a huge header", "no JSON"])
def test_damaged_weights_of_the_right_hash_are_one_line(
    header: str,
    lookup: RunFolder,
    tmp_path: Path,
    prepared_root: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    whole = lookup.weights_path.read_bytes()
    text = json.dumps(HEADERS.get(header, {})).encode()
    content = {
        "cut": whole[:-100],
        "empty": b"",
        "a huge header": struct.pack("<Q", 2**60) + whole[8:],
        "no JSON": struct.pack("<Q", 8) + b"not JSON" + bytes(404),
    }.get(header, struct.pack("<Q", len(text)) + text + bytes(404))
    lookup.weights_path.write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    lookup.write_provenance(lookup.provenance | {"weights_sha256": sha256})
    words = COMMANDS["translate"](lookup, tmp_path, prepared_root)
    refused(words, lookup.weights_path, capsys)
    assert not (tmp_path / "o.nii.gz").exists()


def test_a_config_that_does_not_build_is_a_fault_of_the_run(
    lookup: RunFolder, tmp_path: Path, prepared_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for stage in (
        {"_target_": LOOKUP, "unknown": 5},
        {"_target_": LOOKUP, "levels": "many"},
        {"_target_": "mrcontrast.diffusion.targets.Data"},
        {"_target_": "torch.optim.AdamW", "_partial_": True},
        {"_target_": "mrcontrast.networks.features.resnet.load_radimagenet", "path": "/etc/passwd"},
    ):
        lookup.write_config(OmegaConf.create({"stage": stage}))
        lookup.write_provenance(lookup.provenance)
        words = COMMANDS["translate"](lookup, tmp_path, prepared_root)
        refused(words, lookup.config_path, capsys)


PARTS = """
import os
from mrcontrast.storage.files import write_text
from mrcontrast.stages.baselines import IntensityLookup

class Mine(IntensityLookup):
    pass

ALIAS = os.system
"""


@pytest.fixture
def own(lookup: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A run whose stage is a class of the user's own package."""
    package = tmp_path / "site" / "parts_of_mine"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "stages.py").write_text(PARTS)
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.delenv("MRCONTRAST_TRUST")
    return name_stage(lookup, "parts_of_mine.stages.Mine")


def name_stage(folder: RunFolder, target: str) -> RunFolder:
    folder.write_config(OmegaConf.merge(folder.config, {"stage": {"_target_": target}}))
    folder.write_provenance(folder.provenance)
    return folder


@pytest.mark.parametrize("module", ["parts_of_mine", "parts_of_mine.stages"])
def test_own_classes_need_trust(
    module: str, own: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["export", str(own.path), "--out", str(tmp_path / "model")]
    assert main(words) == 1
    assert "parts_of_mine.stages" not in sys.modules
    assert main([*words, "--trust", "parts_of"]) == 1
    assert main([*words, "--trust", module]) == 0
    assert "MRCONTRAST_TRUST" not in os.environ
    monkeypatch.setenv("MRCONTRAST_TRUST", f"other, {module}")
    assert main([*words[:-1], str(tmp_path / "again")]) == 0
    assert type(load_stage(own.path)).__name__ == "Mine"
    sys.modules.pop("parts_of_mine.stages")


@pytest.mark.parametrize(
    "target",
    [
        "parts_of_mine.stages.os.system",
        "parts_of_mine.stages.ALIAS",
        "parts_of_mine.stages.write_text",
        "parts_of_mine.stages.IntensityLookup",
        "parts_of_mine.stages.Absent",
        "parts_of_mine.absent.Mine",
        "parts_of_mine",
        "parts_of_mines.Mine",
    ],
)
def test_trust_does_not_pass_through_a_module(
    target: str, own: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MRCONTRAST_TRUST", "parts_of_mine")
    with pytest.raises(MrcontrastError, match="Expected"):
        name_stage(own, target).verify()


def test_trust_without_a_module_is_a_fault_of_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--trust"]) == 2
    assert "Expected a module, got none (--trust)" in capsys.readouterr().err
