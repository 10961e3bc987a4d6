"""Runs that a study trains, and runs from outside that it uses."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mrcontrast.errors import UsageError
from mrcontrast.inference.sampling_options import ControlChoice
from mrcontrast.runs.folder import RunFolder
from mrcontrast.tracking.references import open_run

OWN_KEYS = ("out", "run_dir", "overwrite", "data.root", "name")  # of each training


def outside_runs(
    names: Iterable[str], key: str, plain: dict[str, Any], folder: Path
) -> dict[str, RunFolder]:
    """Return the named runs that a study does not train: released models, run folders.

    A missing one is UsageError, which names ``key``.
    """
    found = {}
    for name in names:
        if name in plain["train"]:
            continue
        run = earlier_run(name, key, folder)
        if not run.path.is_dir():
            raise UsageError(
                f"Expected a run of the study, a released model or a run folder, got {name} "
                f"({key}). The study trains {', '.join(plain['train'])}."
            )
        found[name] = run
    return found


def check_one_process(devices: object, where: str) -> None:
    """Raise UsageError unless ``trainer.devices`` is one device.

    Lightning starts further processes with the command of the first: each would run the study.
    """
    if not re.fullmatch(r"1|\[\d+\]", str(devices)):
        raise UsageError(
            f"Expected trainer.devices=1 in a study, got {devices} ({where}). Remove it, or train "
            "that stage by `mrcontrast train` and let the study use its run folder."
        )


def check_overrides(overrides: Iterable[str], where: str) -> None:
    """Raise UsageError for overrides of a training that the study sets itself, or of devices."""
    for override in overrides:
        key, _, value = override.lstrip("+").partition("=")
        if key == "trainer.devices":
            check_one_process(value, where)
        if (key := key.lstrip("+~")) in OWN_KEYS:
            raise UsageError(
                f"Expected no {key} in a study, which sets it itself, got {override} ({where}). "
                "Leave it out."
            )


def outside_names(plain: Mapping[str, Any]) -> list[str]:
    """Return the names of all runs in a study's config that it does not train."""
    trained, predicted = plain.get("train") or {}, plain.get("predict") or {}
    names = {parent for node in trained.values() for parent in node.get("parents", {}).values()}
    names |= {node["start_from"] for node in trained.values() if node.get("start_from")}
    names |= {node["model"] for node in predicted.values() if "model" in node}
    controls = [text for node in predicted.values() for text in node.get("control", [])]
    names |= {ControlChoice.from_text(text).run for text in controls}
    return sorted(names - set(trained))


def hashes_of(runs: Mapping[str, RunFolder]) -> dict[str, Any]:
    """Return hashes of runs from outside, as a part of the settings of a step."""
    return {"outside": {name: run.verify() for name, run in runs.items()}} if runs else {}


def where(name: str, outside: Mapping[str, RunFolder], folder: Path) -> Path:
    """Return the folder of a run of the study or from outside."""
    return outside[name].path if name in outside else folder / "runs" / name


def earlier_run(reference: str, key: str, folder: Path) -> RunFolder:
    """Return a run from outside the study; raise UsageError if it is inside."""
    run = RunFolder(open_run(reference).path.absolute())
    if run.path.resolve().is_relative_to(folder.resolve()):
        raise UsageError(
            f"Expected a run outside the study, got {run.path} ({key}). "
            "Name a run that the study does not train."
        )
    return run


def runs_of(model: str, plain: dict[str, Any], folder: Path) -> list[Path]:
    """Return the run folders of a model and of all its parents, each once."""
    if model not in plain["train"]:
        run = outside_runs([model], "study.predict", plain, folder)[model]
        return list(dict.fromkeys([run.path, *run.parents_beside()]))
    node = plain["train"][model]
    earlier = [name for name in (*node.get("parents", {}).values(), node.get("start_from")) if name]
    above = [run for name in earlier for run in runs_of(name, plain, folder)]
    return list(dict.fromkeys([folder / "runs" / model, *above]))
