"""Train toy stages from the tests, as the command line would."""

import os
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path

from omegaconf import DictConfig

from mrcontrast.commands.train import train
from mrcontrast.config.build import compose
from mrcontrast.runs.folder import RunFolder
from mrcontrast.tracking.store import connect

CONFIGS = Path(__file__).parent / "configs"


def arguments(root: Path, *overrides: str) -> list[str]:
    """Return overrides that train a toy for four steps below `root`, without MLflow."""
    return [
        f"hydra.searchpath=[file://{CONFIGS}]",
        f"paths.outputs={root}",
        "data=toy",
        "logger=none",
        "trainer.accelerator=cpu",
        "trainer.max_steps=4",
        "trainer.val_check_interval=2",
        *overrides,
    ]


def toy_config(root: Path, *overrides: str) -> DictConfig:
    return compose("train", arguments(root, *overrides))


def toy_run(root: Path, name: str, *overrides: str) -> RunFolder:
    """Train one stage and return its folder."""
    train(toy_config(root, f"name={name}", *overrides))
    return RunFolder(root / "runs" / name)


def with_mlflow(root: Path) -> list[str]:
    """Return overrides for MLflow in a copy of an empty database: making one takes seconds."""
    folder = root / "mlflow"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "mlflow.db").exists():
        shutil.copy(empty_database(), folder / "mlflow.db")
    return ["logger=mlflow"]


@cache
def empty_database() -> Path:
    path = Path(tempfile.mkdtemp(prefix="mrcontrast-test-")) / "mlflow.db"
    connect(f"sqlite:///{path}").search_experiments()
    return path


def mlflow_runs(root: Path) -> list:
    client = connect(f"sqlite:///{root}/mlflow/mlflow.db")
    experiment = client.get_experiment_by_name("mrcontrast")
    return client.search_runs([experiment.experiment_id])


def in_child(work: Callable[[], int]) -> int:
    """Start `work` in a fork, which is quick since all is imported, and return its process id."""
    sys.stdout.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside idle threads
        process = os.fork()
    if process:
        return process
    signal.signal(signal.SIGINT, signal.default_int_handler)
    code = 99
    try:
        code = work()
    finally:
        os._exit(code)


def wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the child never came this far"
        time.sleep(0.02)


def end_of(process: int) -> int:
    """Return the exit code of a child, negative for a signal."""
    _, status = os.waitpid(process, 0)
    return os.waitstatus_to_exitcode(status)
