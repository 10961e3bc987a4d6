"""Steps of a study up to translation: each command with its settings, inputs and output."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from mrcontrast.config.build import compose
from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.inference.sampling_options import (
    BATCH_SIZE,
    OPTIONS,
    UNSHUFFLED,
    ControlChoice,
    SamplingOptions,
    check_values,
)
from mrcontrast.runs.folder import RunFolder
from mrcontrast.study.changes import changed_setting
from mrcontrast.study.ledger import Step
from mrcontrast.study.results import MASKS
from mrcontrast.study.runs import (
    check_one_process,
    check_overrides,
    earlier_run,
    hashes_of,
    outside_runs,
    where,
)

PREDICT_KEYS = (*OPTIONS, "batch_size")  # options of a predict node; see ``from_run``


def prepare_step(plain: dict[str, Any], folder: Path) -> Step:
    """Prepare the data set."""
    output = folder / "data"
    overrides = [*plain["prepare"], f"out={output}"]

    def run() -> None:
        from mrcontrast.commands.prepare import prepare

        if prepare(compose("prepare", overrides)):
            raise MrcontrastError(
                f"Expected all pairs to be fit, got dropped ones (see {output}/dropped.tsv). "
                "Mend them, or set allow_dropped=true in the study's prepare list."
            )

    settings = OmegaConf.to_container(compose("prepare", overrides).recipe, resolve=True)
    files = ("*.tsv", "*.yaml", "*.json", "sub-*/**/*")
    anchors = ("manifest.tsv", "recipe.yaml")
    settled = ("data", "Prepare the data", output, settings, run)
    return Step(*settled, files=files, anchors=anchors, whole=True)


def train_step(name: str, plain: dict[str, Any], folder: Path) -> Step:
    """Train one stage, as ``mrcontrast train`` does; its overrides and parents are checked."""
    node, key = plain["train"][name], f"study.train.{name}"
    parents, start = node.get("parents", {}), node.get("start_from")
    output = folder / "runs" / name
    own = [*plain["common"], *node["overrides"]]
    outside = outside_runs(parents.values(), key, plain, folder)
    inside = [each for each in (*parents.values(), start) if each in plain["train"]]
    check_order(name, inside, list(plain["train"]))
    settings = {"overrides": own, "parents": parents} | hashes_of(outside)
    overrides = [
        *("data=prepared", f"data.root={folder / 'data'}", f"out={output}"),
        *(f"name={plain['name']}/{name}", *plain["common"]),
        *(f"{each}={where(parent, outside, folder)}" for each, parent in parents.items()),
        *node["overrides"],
    ]
    if start in inside:
        settings["start_from"] = start
        overrides.append(f"start_from={folder / 'runs' / start}")
    elif start is not None:
        earlier = earlier_run(start, f"{key}.start_from", folder)
        settings["start_from"] = earlier.verify()
        overrides.append(f"start_from={earlier.path}")
    check_overrides(own, key)

    def run() -> None:
        from mrcontrast.commands.train import train

        config = compose("train", overrides)
        check_one_process(config.trainer.devices, key)  # a config group may set it
        train(config)

    return Step(
        *(name, f"Train {name}", output, settings, run, ("data", *inside)),
        remark=lambda: changed_setting(RunFolder(output), overrides),
        files=("config.yaml", "weights.safetensors", "provenance.json"),
        anchors=("config.yaml",),
        verify=RunFolder(output).verify,
    )


def check_order(name: str, earlier: list[str], order: list[str]) -> None:
    """Raise UsageError if a training of the study precedes one that it starts from."""
    for each in earlier:
        if order.index(each) >= order.index(name):
            raise UsageError(
                f"Expected {each} before {name}, which needs it, got {', '.join(order)} "
                "(study.train). Put it first."
            )


def predict_step(name: str, plain: dict[str, Any], folder: Path) -> Step:
    """Translate the held-out subjects by one method, as prepared or on their own grids."""
    node = plain["predict"][name]
    options = sampling_of(name, node)
    model, full_grid = node["model"], node.get("full_grid", False)
    shuffled = node.get("shuffle_source", False)
    runs = [model, *(ControlChoice.from_text(text).run for text in options.control)]
    outside = outside_runs(runs, f"study.predict.{name}", plain, folder)
    if full_grid and shuffled:
        raise UsageError(
            f"Expected full_grid or shuffle_source, got both (study.predict.{name}). "
            "Leave one out: raw files of two subjects need not share a grid."
        )
    if full_grid and options.known_tags == "shuffled":
        raise UsageError(f"{UNSHUFFLED} Change study.predict.{name}.")
    output = folder / "predictions" / name

    def run() -> None:
        from mrcontrast.commands.translate import translate_all, translate_records
        from mrcontrast.data.manifest import Manifest
        from mrcontrast.inference.from_run import from_run
        from mrcontrast.inference.originals import originals

        records = Manifest.read(folder / "data").split("test")
        path = str(where(model, outside, folder))
        chosen = replace(options, control=tuple(located(options.control, outside, folder)))
        translator = from_run(path, chosen, node.get("batch_size", BATCH_SIZE))
        if full_grid:
            read = tuple(translator.reads)
            scanned = originals(records, folder / MASKS, read, translator.optional)
            target, seed = translator.target, options.seed
            jobs = [original.job(read, target, output, seed) for original in scanned]
            translate_all(jobs, translator)
        else:
            translate_records(records, translator, output, shuffled, options.seed)

    title = f"Translate held-out subjects: {name}"
    settings = {**node, **hashes_of(outside)}
    trained = dict.fromkeys(run for run in runs if run not in outside)
    inputs = ("data", *trained, *([MASKS] if full_grid else []))
    files = ("*.nii.gz", "*.json")
    return Step(f"predict-{name}", title, output, settings, run, inputs, files=files)


def located(
    controls: Sequence[str], outside: Mapping[str, RunFolder], folder: Path
) -> Iterator[str]:
    """Yield the texts of controls with the folders of their runs."""
    for text in controls:
        run = ControlChoice.from_text(text).run
        yield f"{where(run, outside, folder)}{text.removeprefix(run)}"


def sampling_of(name: str, node: dict[str, Any]) -> SamplingOptions:
    """Return the sampling options of a predict node; raise UsageError for a wrong one."""
    check_values(node, f"study.predict.{name}.")
    try:
        return SamplingOptions.of(node)
    except UsageError as error:
        raise UsageError(f"{error} Change study.predict.{name}.") from error


def masks_step(folder: Path) -> Step:
    """Find the brains of held-out subjects without a raw mask."""
    output = folder / MASKS

    def run() -> None:
        from mrcontrast.data.manifest import Manifest
        from mrcontrast.inference.originals import write_masks

        write_masks(Manifest.read(folder / "data").split("test"), output)

    title = "Find the brains on their own grids"
    return Step(MASKS, title, output, {}, run, ("data",), files=("*.nii.gz",))
