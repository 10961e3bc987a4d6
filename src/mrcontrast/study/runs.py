"""The runs that a study uses: those that it trains, and those from outside."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mrcontrast.errors import UsageError
from mrcontrast.runs.folder import RunFolder
from mrcontrast.tracking.references import open_run

OWN_KEYS = ("out", "run_dir", "overwrite", "data.root", "name")  # of each training


def outside_runs(
    names: Iterable[str], key: str, plain: dict[str, Any], folder: Path
) -> dict[str, RunFolder]:
    """Return those of the named runs that the study does not train: released models, run folders.

    Args:
        names: What ``key`` of the study names.
        key: For the message.
        plain: The study's config.
        folder: Of the study.

    Raises:
        UsageError: There is no such run.
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


def refuse_processes(devices: object, where: str) -> None:
    """Refuse a training of a study in several processes.

    Lightning starts them with the command of the first: each would run the whole study.

    Args:
        devices: Value of ``trainer.devices``, as typed or composed.
        where: Key of the study, for the message.

    Raises:
        UsageError: It is not one device.
    """
    if not re.fullmatch(r"1|\[\d+\]", str(devices)):
        raise UsageError(
            f"Expected trainer.devices=1 in a study, got {devices} ({where}). Remove it, or train "
            "that stage by `mrcontrast train` and let the study use its run folder."
        )


def refuse_own_keys(overrides: Iterable[str], where: str) -> None:
    """Refuse overrides of a training that the study sets itself.

    Raises:
        UsageError: One is among them.
    """
    for override in overrides:
        if (key := override.lstrip("+~").partition("=")[0]) in OWN_KEYS:
            raise UsageError(
                f"Expected no {key} in a study, which sets it itself, got {override} ({where}). "
                "Leave it out."
            )


def outside_names(plain: Mapping[str, Any]) -> list[str]:
    """Return the names of all runs that a study's config uses and does not train.

    >>> outside_names({"train": {"a": {"parents": {"autoencoder": "runs/x"}}, "b": {}},
    ...                "predict": {"a": {"model": "a"}, "c": {"model": "phantom-2d"}}})
    ['phantom-2d', 'runs/x']
    """
    trained, predicted = plain.get("train") or {}, plain.get("predict") or {}
    names = {parent for node in trained.values() for parent in node.get("parents", {}).values()}
    names |= {node["start_from"] for node in trained.values() if node.get("start_from")}
    names |= {node["model"] for node in predicted.values() if "model" in node}
    return sorted(names - set(trained))


def hashes_of(runs: Mapping[str, RunFolder]) -> dict[str, Any]:
    """Return what a step must be made anew for, if it uses runs from outside the study."""
    return {"outside": {name: run.verify() for name, run in runs.items()}} if runs else {}


def where(name: str, outside: Mapping[str, RunFolder], folder: Path) -> Path:
    """Return the folder of a run of the study or from outside."""
    return outside[name].path if name in outside else folder / "runs" / name


def earlier_run(reference: str, key: str, folder: Path) -> RunFolder:
    """Return a run that is used as it is, which must not be one of the study's own."""
    run = RunFolder(open_run(reference).path.absolute())
    if run.path.resolve().is_relative_to(folder.resolve()):
        raise UsageError(
            f"Expected a run outside the study, got {run.path} ({key}). "
            "Name a run that the study does not train."
        )
    return run


def runs_of(model: str, plain: dict[str, Any], folder: Path) -> dict[Path, None]:
    """Return the run folders of a model and of all that it was built on, each once."""
    if model not in plain["train"]:
        run = outside_runs([model], "study.predict", plain, folder)[model]
        return {run.path: None} | {parent: None for parent in run.parents_beside()}
    node = plain["train"][model]
    runs: dict[Path, None] = {folder / "runs" / model: None}
    for earlier in (*node.get("parents", {}).values(), node.get("start_from")):
        if earlier is not None:
            runs |= runs_of(earlier, plain, folder)
    return runs
