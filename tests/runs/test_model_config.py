"""A config from elsewhere names no code but the parts of a model, wherever it does so."""

import inspect
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from mrcontrast.errors import MrcontrastError
from mrcontrast.runs.model_config import PARTS, PLACES, checked_config, read_config

# Each reads files, writes or removes them, starts processes, or reaches code or the network.
TARGETS = [
    "builtins.compile",
    "builtins.eval",
    "builtins.exec",
    "builtins.open",
    "code.interact",
    "ctypes.CDLL",
    "functools.partial",
    "hydra.utils.call",
    "hydra.utils.get_method",
    "hydra.utils.instantiate",
    "importlib.import_module",
    "joblib.load",
    "lightning.Trainer",
    "logging.config.dictConfig",
    "mlflow.artifacts.download_artifacts",
    "mlflow.pyfunc.load_model",
    "monai.bundle.load",
    "monai.bundle.run",
    "monai.data.decollate_batch",
    "monai.networks.nets.TorchVisionFCModel",
    "monai.transforms.LoadImage",
    "mrcontrast.cli.main",
    "mrcontrast.config.build.build",
    "mrcontrast.networks.features.torchscript.TorchScriptFeatures",
    "mrcontrast.storage.files.write_text",
    "mrcontrast.runs.folder.RunFolder",
    "mrcontrast.sweeps.launchers.LocalProcess",
    "nibabel.load",
    "numpy.load",
    "numpy.loadtxt",
    "omegaconf.OmegaConf.load",
    "os.system",
    "pandas.read_pickle",
    "pathlib.Path.unlink",
    "pickle.loads",
    "runpy.run_path",
    "safetensors.torch.load_file",
    "shutil.copyfile",
    "shutil.rmtree",
    "subprocess.Popen",
    "torch.hub.load",
    "torch.jit.load",
    "torch.load",
    "torch.nn.Module.load_state_dict",
    "torch.optim.AdamW.__init__.__globals__",
    "urllib.request.urlretrieve",
    "webbrowser.open",
    "mrcontrast.stages.autoencoder.Autoencoder.load_from_checkpoint",
    "mrcontrast.stages.autoencoder.torch.load",
    " mrcontrast.stages.baselines.IntensityLookup",
    "mrcontrast.stages.baselines.IntensityLookup ",
]
OURS = "mrcontrast.stages.baselines.IntensityLookup"


def stage(**more: Any) -> dict[str, Any]:
    return {"_target_": OURS, "levels": 101, "spatial_dims": 2} | more


def bad(target: object) -> dict[str, Any]:
    return {"_target_": target, "path": "model.pt"}


PLACES_OF_A_TARGET: dict[str, Callable[[object], Any]] = {
    "stage": bad,
    "nested": lambda target: stage(prompt={"inner": bad(target)}),
    "in a list": lambda target: stage(parts=[[{"a": bad(target)}]]),
    "_args_": lambda target: stage(_args_=[bad(target)]),
    "_args_ of a part": lambda target: {"_target_": OURS, "_args_": ["x", {"y": bad(target)}]},
    "partial": lambda target: stage(optimizer=bad(target) | {"_partial_": True}),
    "not recursive": lambda target: stage(part=bad(target) | {"_recursive_": False}),
    "inside one that is not recursive": lambda target: stage(
        part={"_target_": OURS, "_recursive_": False, "inner": bad(target)}
    ),
    "checkpoint": lambda target: stage(checkpoint={"monitor": bad(target)}),
    "interpolation": lambda target: stage(name=target, prompt=bad("${stage.name}")),
    "resolver": lambda target: stage(prompt=bad(f"${{oc.decode:{target}}}")),
    "whole node": lambda target: stage(prompt="${other}"),
}


@pytest.fixture(autouse=True)
def trust_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MRCONTRAST_TRUST")


def read(path: Path, node: Any, **more: Any) -> Any:
    path.write_text(OmegaConf.to_yaml({"stage": node} | more))
    return checked_config(read_config(path), path)


@pytest.mark.parametrize("place", PLACES_OF_A_TARGET)
def test_no_other_code_can_be_named(tmp_path: Path, place: str) -> None:
    path = tmp_path / "config.yaml"
    for target in TARGETS:
        with pytest.raises(MrcontrastError, match=rf"^Expected .* got.*{path}") as caught:
            read(path, PLACES_OF_A_TARGET[place](target), other=bad(target))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        "${oc.env:HOME}",
        "${oc.decode:${oc.env:HOME}}",
        "${module:${stage._target_}}",
        "a ${spatial_dims} b",
        "${${a}.env:HOME}",
        "???",
    ],
)
def test_no_value_is_computed(tmp_path: Path, value: str) -> None:
    for node in (stage(name=value), stage(names=[{"a": [value]}]), stage(_target_=value)):
        with pytest.raises(MrcontrastError, match="Expected"):
            read(tmp_path / "config.yaml", node)


@pytest.mark.parametrize(
    "node",
    [
        stage(_convert_="all"),
        stage(_args_=[]),
        stage(_recursive_=True),
        stage(_partial_="yes"),
        stage(part={"_partial_": True}),
        stage(part={"_args_": [1]}),
        stage(part={"_target_": 5}),
        stage(part={"_target_": None}),
        stage(part={"_target_": [OURS]}),
        stage(part={"_target_": {"_target_": OURS}}),
        stage(_new_="?"),
        {},
        [],
        "text",
        None,
        {"levels": 5},
    ],
)
def test_nothing_else_steers_the_builder(tmp_path: Path, node: Any) -> None:
    with pytest.raises(MrcontrastError, match=r"Expected a (stage|known part)"):
        read(tmp_path / "config.yaml", node)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- a",
        "text",
        "5",
        "stage: [a",
        "stage: !!python/object/apply:os.system [ls]",
        "stage: !!python/name:os.system",
        "a: &a [1]\nb: *a",
        "\x00",
        "[" * 50_000,
        "stage: {" * 5000,
        "- " * 50_000,
        "a: " + "x" * 1_000_000,
    ],
    ids=lambda text: repr(text[:20]),
)
def test_a_file_that_is_no_config_is_named_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(MrcontrastError, match=r"Expected a (config|stage)") as caught:
        checked_config(read_config(path), path)
    assert "\n" not in str(caught.value)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(MrcontrastError, match="Expected a config"):
        read_config(path)


def test_paths_of_the_machine_that_trained_are_left_behind(tmp_path: Path) -> None:
    prompt = {"_target_": "mrcontrast.networks.prompt.Prompt", "path": "/etc/passwd", "width": 3}
    store = {"_target_": "mrcontrast.latent.cache.LatentStore", "folder": "/home", "n": 1}
    found = read(tmp_path / "config.yaml", stage(parts=[prompt, {"store": store}]))
    assert found.stage.parts[0] == prompt | {"path": None}
    assert found.stage.parts[1].store == store | {"folder": "outputs/cache/latents"}


@pytest.mark.parametrize("target", sorted(PARTS))
def test_a_part_takes_no_path_that_is_not_left_behind(target: str) -> None:
    module, _, name = target.rpartition(".")
    part = getattr(import_module(module), name)
    assert inspect.isclass(part) or name.startswith("load_")
    assert part.__module__.startswith(("mrcontrast.", "monai.networks.nets.", "torch.optim."))
    paths = {"path", "folder", "file", "filename", "dir", "dirpath", "root", "url", "weights"}
    assert paths & set(inspect.signature(part).parameters) == set(PLACES.get(target, {}))
