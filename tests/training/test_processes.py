"""Two processes train as one: through the command, on the CPU, with gloo."""

import json
import math
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mrcontrast.runs.folder import RunFolder
from mrcontrast.training.resume import read_checkpoint
from toy.runs import arguments, mlflow_runs, with_mlflow
from toy.stages_together import STAGES

NET = ("channels=[8,8]", "attention_levels=[false,false]", "norm_num_groups=4")
AUTOENCODER = (
    "stage=autoencoder",
    *(f"stage.autoencoder.{setting}" for setting in (*NET, "latent_channels=2")),
)
DIFFUSION = (
    "stage=latent_diffusion",
    *(f"stage.denoiser.{setting}" for setting in (*NET, "num_head_channels=[0,4]")),
    "stage.codec.latent_multiple=2",
)
TOGETHER = ("trainer.devices=2", "trainer.strategy=ddp")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def command(root: Path, prepared: Path, name: str, *overrides: str) -> list[str]:
    settings = [
        "data=prepared",
        f"data.root={prepared}",
        "data.batch_size=8",
        "data.items.max_val_items=4",
        "callbacks.pictures.count=0",
        "stage.optimisation.warmup_steps=2",
        "+callbacks.seen._target_=toy.items_seen.ItemsSeen",
        f"+callbacks.seen.folder={root}/seen/{name}",
        f"name={name}",
        f"paths.cache={root}/cache",
        *TOGETHER,
    ]
    words = arguments(root, *settings, *overrides)
    return [sys.executable, "-m", "mrcontrast", "train", *words]


def environment(**more: str) -> dict[str, str]:
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    fixed = {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    return os.environ | fixed | more


def run(root: Path, prepared: Path, name: str, *overrides: str, stop_at: int = -1) -> RunFolder:
    words = command(root, prepared, name, *overrides)
    around = environment(TOY_STOP_AT=str(stop_at))
    answer = subprocess.run(words, capture_output=True, text=True, env=around)
    assert answer.returncode == (143 if stop_at >= 0 else 0), answer.stderr
    assert "Traceback" not in answer.stderr
    return RunFolder(root / "runs" / name)


def seen(root: Path, name: str) -> list[list[dict]]:
    paths = [root / "seen" / name / f"seen-{process}.json" for process in (0, 1)]
    return [json.loads(path.read_text()) for path in paths]


def items(lines: list[dict]) -> set[float]:
    return {item for line in lines for item in line["items"]}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(scope="module")
def autoencoder(root: Path, prepared_root: Path) -> RunFolder:
    return run(root, prepared_root, "autoencoder", *AUTOENCODER, *with_mlflow(root))


@pytest.fixture(scope="module")
def diffusion(root: Path, prepared_root: Path, autoencoder: RunFolder) -> RunFolder:
    parent = f"autoencoder={autoencoder.path}"
    return run(root, prepared_root, "diffusion", *DIFFUSION, parent, *with_mlflow(root))


@pytest.mark.parametrize("name", ["autoencoder", "diffusion"])
def test_two_processes_are_one_run(root: Path, name: str, request: pytest.FixtureRequest) -> None:
    folder: RunFolder = request.getfixturevalue(name)
    first, second = seen(root, name)
    assert len(items(first[:1])) == len(items(second[:1])) == 8
    assert not items(first[:1]) & items(second[:1])
    assert all(a["draw"] != b["draw"] for a, b in zip(first, second, strict=True))
    assert [line["step"] for line in first] == [0, 1, 2, 3]
    assert all(math.isfinite(line["loss"]) for line in first + second)
    assert folder.finished
    records = [record for record in mlflow_runs(root) if record.info.run_name == name]
    assert [record.info.status for record in records] == ["FINISHED"]
    assert folder.provenance["mlflow_run_id"] == records[0].info.run_id


def test_the_cache_is_built_once(root: Path, diffusion: RunFolder) -> None:
    assert len(list((root / "cache" / "latents").glob("*/target_mean.npy"))) == 1
    assert diffusion.finished


def test_a_stop_of_one_stops_both_and_they_go_on_to_the_same_bits(
    root: Path, prepared_root: Path, autoencoder: RunFolder
) -> None:
    run(root, prepared_root, "parts", *AUTOENCODER, stop_at=2)
    parts = RunFolder(root / "runs" / "parts")
    assert read_checkpoint(parts.last_checkpoint)["global_step"] == 3
    assert len(seen(root, "parts")[1]) == 3
    run(root, prepared_root, "parts", *AUTOENCODER)
    ours, theirs = (read_checkpoint(folder.last_checkpoint) for folder in (parts, autoencoder))
    for key, value in theirs["current_model_state"].items():
        ours_too = ours["current_model_state"][key]  # NaN is what only the end of a run measures
        torch.testing.assert_close(ours_too, value, rtol=0, atol=0, equal_nan=True, msg=key)
    states = [read["callbacks"]["RandomState"]["processes"] for read in (ours, theirs)]
    for process in (0, 1):
        assert torch.equal(*(state[process]["torch"] for state in states))
    assert parts.verify() == autoencoder.verify()


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory, prepared_root: Path) -> Path:
    """Every stage trained by two processes that started together."""
    root = tmp_path_factory.mktemp("together")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "NODE_RANK": "0"}
    script = Path(__file__).parent / "toy" / "stages_together.py"
    words = [sys.executable, str(script), str(root), str(prepared_root)]
    children = []
    for process in ("0", "1"):
        with (root / f"messages-{process}.txt").open("wb") as messages:
            around = environment(**shared, LOCAL_RANK=process)
            child = subprocess.Popen(words, stdout=messages, stderr=messages, env=around)
        children.append(child)
    try:
        for child in children:
            child.wait(timeout=600)
    finally:
        for child in children:
            child.kill()
    return root


@pytest.mark.timeout(700)
@pytest.mark.parametrize("name", STAGES)
def test_every_stage_trains_in_two_processes(together: Path, name: str) -> None:
    messages = (together / "messages-0.txt").read_text(), (together / "messages-1.txt").read_text()
    codes = [json.loads((together / f"codes-{process}.json").read_text()) for process in (0, 1)]
    assert [code.get(name) for code in codes] == [0, 0], messages
    run = RunFolder(together / "runs" / name)
    assert run.finished
    if name == "lookup":
        return
    one, two = (
        json.loads((together / "agreement" / name / f"{process}.json").read_text())
        for process in (0, 1)
    )
    assert one["weights"] == two["weights"]
    assert one["scores"] == two["scores"]
    assert one["scores"]
    assert len(one["losses"]) == len(two["losses"]) >= 2
    assert one["losses"] != two["losses"]  # each process has its own items
    assert all(math.isfinite(loss) for loss in one["losses"] + two["losses"])
