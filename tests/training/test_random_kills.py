"""Twenty kills at random moments, of trainings and of studies: nothing lost, nothing left over."""

import csv
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import DictConfig

from mrcontrast.runs.folder import RunFolder
from mrcontrast.storage.files import sha256_file
from mrcontrast.storage.volume import read_volume
from mrcontrast.study.command import study
from mrcontrast.study.records import FINISHED, MARK, Record, damage
from study.test_steps import settings, write_raw
from toy.runs import end_of, in_child
from training.test_exact_resume import AUTOENCODER, differences, run, state

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

KILLS = 20


def quiet(work: Callable[[], Any], log: Path) -> int:
    """Do work with its output in a file; the exit code of a child."""
    with log.open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    work()
    sys.stdout.flush()
    return 0


def killed(work: Callable[[], Any], seconds: float, log: Path) -> bool:
    """Do work in a child that is killed after some seconds; return whether it came to its end."""
    process = in_child(lambda: quiet(work, log))
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            assert os.waitstatus_to_exitcode(status) == 0, log.read_text()[-2000:]
            return False
        time.sleep(0.01)
    os.kill(process, signal.SIGKILL)
    code = end_of(process)
    assert code in (0, -signal.SIGKILL)  # 0: it ended just before
    return code != 0


def finish(work: Callable[[], Any], log: Path) -> float:
    """Do work in a child that nobody kills, and return its seconds."""
    began = time.monotonic()
    assert end_of(in_child(lambda: quiet(work, log))) == 0, log.read_text()[-2000:]
    return time.monotonic() - began


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def last_validations(folder: RunFolder) -> dict[tuple[str, str], str]:
    """Return the validations by step and metric; of steps that were repeated the last ones."""
    with folder.metrics_path.open() as file:
        rows = list(csv.DictReader(file))
    found = {(row["step"], row["metric"]): row["value"] for row in rows}
    return {key: value for key, value in found.items() if key[1].startswith("val/")}


def test_trainings(tmp_path: Path, prepared_root: Path, capsys: pytest.CaptureFixture) -> None:
    options = ("stage=autoencoder", *AUTOENCODER, "trainer.max_steps=24", "save_every_n_steps=2")
    options += ("callbacks.pictures.count=1",)
    log, rng = tmp_path / "log.txt", random.Random(1)
    length = finish(lambda: run(tmp_path, prepared_root, "whole", *options), log)
    whole = RunFolder(tmp_path / "runs" / "whole")
    kills, number, moments = 0, 0, []
    while kills < KILLS:
        name = f"killed-{number}"
        moment = rng.uniform(0, length)
        if killed(lambda name=name: run(tmp_path, prepared_root, name, *options), moment, log):
            kills += 1
            moments.append(round(moment, 1))
        else:
            number += 1
    for path in sorted((tmp_path / "runs").iterdir()):
        finish(lambda path=path: run(tmp_path, prepared_root, path.name, *options), log)
        folder = RunFolder(path)
        assert list(differences(state(folder), state(whole))) == []
        assert last_validations(folder) == last_validations(whole)
        assert names(path) == names(whole.path)
    assert names(tmp_path / "runs") == {
        f"{run.name}{name and '/'}{name}"
        for run in (tmp_path / "runs").iterdir()
        for name in ("", *names(whole.path))
    }
    with capsys.disabled():
        told = f"{kills} kills over {length:.1f} s, after {moments} s; {number + 1} runs"
        sys.stdout.write(f"\ntrain: {told}\n")


def config_of(folder: Path, raw: Path, rate: float) -> DictConfig:
    """Return a study of a look-up table and an autoencoder that learns at a certain rate."""
    split = ["train=[sub-01]", "val=[sub-02]", "test=[sub-03,sub-04]"]
    node = settings(folder, raw).study
    prepare = [text for text in node.prepare if "split.t" not in text and "split.v" not in text]
    steps = ("trainer.max_steps=8", "trainer.val_check_interval=4", "save_every_n_steps=2")
    rates = f"stage.optimisation.optimizer.lr={rate}"
    common = [*node.common, "logger=none", "data.batch_size=4", *steps]
    autoencoder = ["stage=autoencoder", *AUTOENCODER, "stage.optimisation.warmup_steps=2", rates]
    return settings(
        folder,
        raw,
        prepare=[*prepare, *(f"recipe.split.{text}" for text in split)],
        common=[*common, "callbacks.pictures.count=1"],
        train={
            "lookup": {"overrides": ["stage=lookup"]},
            "autoencoder": {"overrides": autoencoder},
        },
        predict={"lookup": {"model": "lookup"}, "autoencoder": {"model": "autoencoder"}},
        figure={"subjects": 1, "methods": ["lookup", "autoencoder"]},
    )


def results(folder: Path) -> dict[str, Any]:
    """Return what a study has made, as far as it is the same each time."""
    found: dict[str, Any] = {}
    for path in sorted((folder / "runs").iterdir()):
        weights = RunFolder(path).read_weights()
        found |= {f"{path.name}/{name}": tensor for name, tensor in weights.items()}
    for path in sorted((folder / "predictions").rglob("*.nii.gz")):
        found[str(path.relative_to(folder))] = torch.from_numpy(np.array(read_volume(path).data))
    for name in ("evaluation/subjects.csv", "figures/comparison.png", "data/manifest.tsv"):
        found[name] = sha256_file(folder / name)
    return found


def tree(folder: Path) -> set[str]:
    """Return the names of a study's files but for earlier states."""
    return {name for name in names(folder) if name.split("/")[0] != "earlier"}


def test_studies(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    raw, log, rng = tmp_path / "raw", tmp_path / "log.txt", random.Random(2)
    for seed, subject in enumerate(("sub-01", "sub-02", "sub-03", "sub-04")):
        write_raw(raw, subject, seed, mask=True)
    before = {path: sha256_file(path) for path in raw.rglob("*.nii.gz")}
    rates = {"a": 1e-3, "b": 2e-3}
    length = 0.0
    for name, rate in rates.items():
        length = finish(
            lambda name=name, rate=rate: study(config_of(tmp_path / name, raw, rate)), log
        )
    kills, moments, ends = 0, [], 0
    while kills < KILLS:  # the study changes its mind at each start
        rate, moment = rng.choice(list(rates.values())), rng.uniform(0, length)
        if killed(lambda rate=rate: study(config_of(tmp_path / "killed", raw, rate)), moment, log):
            kills += 1
            moments.append(round(moment, 1))
        else:
            ends += 1
    folder = tmp_path / "killed" / "tiny"
    for name in (*rates, "a"):
        rate = rates[name]
        finish(lambda rate=rate: study(config_of(tmp_path / "killed", raw, rate)), log)
        whole = tmp_path / name / "tiny"
        assert list(differences(results(folder), results(whole))) == []
        assert tree(folder) == tree(whole)
        assert {path.name for path in (tmp_path / "killed").iterdir()} == {"tiny"} | {
            path.name for path in (tmp_path / name).iterdir()
        }
    for place in (folder / "earlier").glob("*/*"):
        mark = Record.read(place / MARK)
        assert mark is not None
        assert mark.state != FINISHED or damage(place, mark) is None
    mark = json.loads((folder / "steps" / "autoencoder.json").read_text())
    finish(lambda: study(config_of(tmp_path / "killed", raw, rates["b"])), log)
    finish(lambda: study(config_of(tmp_path / "killed", raw, rates["a"])), log)
    assert json.loads((folder / "steps" / "autoencoder.json").read_text()) == mark
    assert {path: sha256_file(path) for path in raw.rglob("*.nii.gz")} == before
    with capsys.disabled():
        told = (
            f"{kills} kills over {length:.1f} s, after {moments} s; {ends} starts reached the end"
        )
        sys.stdout.write(f"\nstudy: {told}\n")
