"""The steps of a study: each command of the chain with its settings, inputs and output folder."""

from dataclasses import fields
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from mrcontrast.config.build import compose
from mrcontrast.config.types import check_type
from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.inference.sampling_options import Draws
from mrcontrast.runs.folder import RunFolder
from mrcontrast.study.changes import changed_setting
from mrcontrast.study.ledger import Step
from mrcontrast.study.runs import (
    earlier_run,
    hashes_of,
    outside_runs,
    refuse_own_keys,
    refuse_processes,
    runs_of,
    where,
)

RUN_KEYS = ("steps", "start", "batch_size")  # of a predict node; see ``from_run``
DRAW_KEYS = (*(field.name for field in fields(Draws)), *RUN_KEYS)
MASKS = "masks_full_grid"
EVALUATION, FULL_GRID_EVALUATION = "evaluation", "evaluation_full_grid"
TABLES = ("summary.json", "summary.md", "subjects.csv")


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
    return Step(
        "data", "Prepare the data", output, settings, run, files=files, anchors=anchors, whole=True
    )


def train_step(name: str, plain: dict[str, Any], folder: Path) -> Step:
    """Train one stage, as ``mrcontrast train`` does.

    Raises:
        UsageError: It starts from a run of the study that is named by its path.
        MrcontrastError: The run that it starts from is missing, unfinished or changed.
    """
    node = plain["train"][name]
    parents, start = node.get("parents", {}), node.get("start_from")
    output = folder / "runs" / name
    settings = {"overrides": [*plain["common"], *node["overrides"]], "parents": parents}
    outside = outside_runs(parents.values(), f"study.train.{name}", plain, folder)
    settings |= hashes_of(outside)
    overrides = [
        "data=prepared",
        f"data.root={folder / 'data'}",
        f"out={output}",
        f"name={plain['name']}/{name}",
        *plain["common"],
        *(f"{key}={where(parent, outside, folder)}" for key, parent in parents.items()),
        *node["overrides"],
    ]
    inside = [each for each in (*parents.values(), start) if each in plain["train"]]
    refuse_later(name, inside, list(plain["train"]))
    if start in inside:
        settings["start_from"] = start
        overrides.append(f"start_from={folder / 'runs' / start}")
    elif start is not None:
        earlier = earlier_run(start, f"study.train.{name}.start_from", folder)
        settings["start_from"] = earlier.verify()
        overrides.append(f"start_from={earlier.path}")

    def run() -> None:
        from mrcontrast.commands.train import train

        config = compose("train", overrides)
        refuse_processes(config.trainer.devices, f"study.train.{name}")
        train(config)

    for override in overrides:  # what a config group sets is seen only when it is composed
        key, _, value = override.lstrip("+").partition("=")
        if key == "trainer.devices":
            refuse_processes(value, f"study.train.{name}")
    refuse_own_keys([*plain["common"], *node["overrides"]], f"study.train.{name}")

    def remark() -> str | None:
        return changed_setting(RunFolder(output), overrides)

    return Step(
        name,
        f"Train {name}",
        output,
        settings,
        run,
        ("data", *inside),
        remark,
        files=("config.yaml", "weights.safetensors", "provenance.json"),
        anchors=("config.yaml",),
        verify=RunFolder(output).verify,
    )


def refuse_later(name: str, earlier: list[str], order: list[str]) -> None:
    """Raise UsageError if a training needs one of the study that does not stand before it."""
    for each in earlier:
        if order.index(each) >= order.index(name):
            raise UsageError(
                f"Expected {each} before {name}, which needs it, got {', '.join(order)} "
                "(study.train). Put it first."
            )


def full_grid_methods(plain: dict[str, Any]) -> list[str]:
    """Return the methods that translate raw files on their own grids."""
    return [name for name, node in plain["predict"].items() if node.get("full_grid")]


def predict_step(name: str, plain: dict[str, Any], folder: Path) -> Step:
    """Translate the held-out subjects by one method, as prepared or on their own grids.

    Raises:
        UsageError: The model is not trained here, or FLAIR is shuffled between unlike grids.
    """
    node = plain["predict"][name]
    draws = draws_of(name, node)
    model, full_grid = node["model"], node.get("full_grid", False)
    outside = outside_runs([model], f"study.predict.{name}", plain, folder)
    if full_grid and node.get("shuffle_flair"):
        raise UsageError(
            f"Expected full_grid or shuffle_flair, got both (study.predict.{name}). "
            "Leave one out: raw files of two subjects need not share a grid."
        )
    output = folder / "predictions" / name

    def run() -> None:
        from mrcontrast.commands.translate import translate_originals, translate_records
        from mrcontrast.data.manifest import Manifest
        from mrcontrast.inference.from_run import from_run
        from mrcontrast.inference.originals import originals

        records = Manifest.read(folder / "data").split("test")
        translator = from_run(
            str(where(model, outside, folder)),
            draws,
            **{key: node[key] for key in RUN_KEYS if key in node},
        )
        if full_grid:
            translate_originals(originals(records, folder / MASKS), translator, output)
        else:
            shuffled = node.get("shuffle_flair", False)
            translate_records(records, translator, output, shuffle_flair=shuffled)

    title = f"Translate held-out subjects: {name}"
    settings = {**node, **hashes_of(outside)}
    inputs = ("data", *([] if outside else [model]), *([MASKS] if full_grid else []))
    files = ("*.nii.gz", "*.json")
    return Step(f"predict-{name}", title, output, settings, run, inputs, files=files)


def draws_of(name: str, node: dict[str, Any]) -> Draws:
    """Return the draws of a predict node.

    Raises:
        UsageError: One of its numbers is of another type or out of range; its key is named.
    """
    given = {field: node[field.name] for field in fields(Draws) if field.name in node}
    for field, value in given.items():
        check_type(value, field.type, f"study.predict.{name}.{field.name}")
    try:
        return Draws(**{field.name: value for field, value in given.items()})
    except UsageError as error:
        raise UsageError(f"{error} Change study.predict.{name}.") from error


def masks_step(folder: Path) -> Step:
    """Find the brains of held-out subjects whose raw files came without a mask."""
    output = folder / MASKS

    def run() -> None:
        from mrcontrast.data.manifest import Manifest
        from mrcontrast.inference.originals import write_masks

        write_masks(Manifest.read(folder / "data").split("test"), output)

    title = "Find the brains on their own grids"
    return Step(MASKS, title, output, {}, run, ("data",), files=("*.nii.gz",))


def evaluate_step(methods: list[str], plain: dict[str, Any], folder: Path) -> Step:
    """Score methods against the prepared volumes, with costs and added metrics if configured."""
    output = folder / EVALUATION
    settings: dict[str, Any] = {"methods": methods}
    if plain.get("costs"):
        settings["costs"] = True
    if features := plain.get("features"):
        settings["features"] = features
    if (dims := plain.get("dims", 3)) != 3:
        settings["dims"] = dims
    if metrics := added_metrics(plain):
        settings["metrics"] = metrics

    def run() -> None:
        from mrcontrast.commands.evaluate import evaluate
        from mrcontrast.evaluation.added_metrics import build_metrics
        from mrcontrast.evaluation.costs import Source, add_costs
        from mrcontrast.evaluation.protocol import Protocol, read_features

        predictions = {name: folder / "predictions" / name for name in methods}
        protocol = Protocol(
            features=read_features(features or "none"), dims=dims, metrics=build_metrics(metrics)
        )
        evaluate(predictions, folder / "data", output, protocol=protocol)
        if plain.get("costs"):
            models = {name: plain["predict"][name]["model"] for name in methods}
            runs = {name: runs_of(model, plain, folder) for name, model in models.items()}
            add_costs(
                output, {name: Source(predictions[name], list(runs[name])) for name in methods}
            )

    inputs = ("data", *(f"predict-{name}" for name in methods))
    return Step(
        "evaluation", "Evaluate", output, settings, run, inputs, files=TABLES, anchors=TABLES
    )


def added_metrics(plain: dict[str, Any]) -> dict[str, Any]:
    """Return the content of the YAML that ``study.metrics`` names; {} without one."""
    if plain.get("metrics") is None:
        return {}
    from mrcontrast.evaluation.added_metrics import read_nodes

    return read_nodes(plain["metrics"])


def evaluate_full_grid_step(methods: list[str], plain: dict[str, Any], folder: Path) -> Step:
    """Score methods against the raw volumes, on their own grids."""
    output, metrics = folder / FULL_GRID_EVALUATION, added_metrics(plain)

    def run() -> None:
        from mrcontrast.commands.evaluate import evaluate_originals
        from mrcontrast.data.manifest import Manifest
        from mrcontrast.evaluation.added_metrics import build_metrics

        records = Manifest.read(folder / "data").split("test")
        predictions = {name: folder / "predictions" / name for name in methods}
        added = build_metrics(metrics)
        evaluate_originals(predictions, records, folder / MASKS, output, added)

    inputs = ("data", MASKS, *(f"predict-{name}" for name in methods))
    title = "Evaluate at full grid"
    settings: dict[str, Any] = {"methods": methods} | ({"metrics": metrics} if metrics else {})
    return Step(
        FULL_GRID_EVALUATION, title, output, settings, run, inputs, files=TABLES, anchors=TABLES
    )


def report_step(evaluation: str, methods: list[str], plain: dict[str, Any], folder: Path) -> Step:
    """Write the HTML page of an evaluation; the runs' records in MLflow get it too."""
    output = folder / evaluation.replace(EVALUATION, "report")

    def run() -> None:
        from mrcontrast.report.page import write_report
        from mrcontrast.tracking.attachments import attach_evaluation

        write_report(folder / evaluation, output / "report.html")
        for name in methods:
            if (model := plain["predict"][name]["model"]) in plain["train"]:
                trained = RunFolder(folder / "runs" / model)
                attach_evaluation(trained, name, folder / evaluation, output / "report.html")

    inputs = ("data", *(f"predict-{name}" for name in methods), evaluation)
    title, settings = f"Write {output.name}", {"methods": methods}
    return Step(output.name, title, output, settings, run, inputs, files=("report.html",))


def figure_step(plain: dict[str, Any], folder: Path) -> Step:
    """Draw FLAIR, real and synthetic T1w and the error, as prepared.

    Raises:
        UsageError: A method is not predicted, or on other grids than the prepared one, or has no
            spread to show.
    """
    shown = {"spread": []} | plain["figure"]
    if wrong := sorted(set(shown["methods"]) - set(plain["predict"])):
        raise UsageError(
            f"Expected methods that study.predict names, got {', '.join(wrong)} "
            "(study.figure.methods). Leave them out."
        )
    if wrong := sorted(set(shown["methods"]) & set(full_grid_methods(plain))):
        raise UsageError(
            f"Expected methods without full_grid, got {', '.join(wrong)} (study.figure.methods). "
            "Leave them out."
        )
    several = {name for name in shown["methods"] if plain["predict"][name].get("samples", 1) > 1}
    if wrong := sorted(set(shown["spread"]) - several):
        raise UsageError(
            f"Expected methods of the figure with 2 or more samples, got {', '.join(wrong)} "
            "(study.figure.spread). Leave them out."
        )
    output = folder / "figures"

    def run() -> None:
        from mrcontrast.data.manifest import Manifest
        from mrcontrast.data.predictions import PredictionFiles
        from mrcontrast.report.figure import comparison_figure, read_row

        rows = []
        for record in Manifest.read(folder / "data").split("test")[: shown["subjects"]]:
            file = f"{record.name}_desc-synth_T1w.nii.gz"
            synthetic = {name: folder / "predictions" / name / file for name in shown["methods"]}
            spread = {name: PredictionFiles(synthetic[name]).std for name in shown["spread"]}
            files = (
                record.images["flair"],
                record.images["t1w"],
                synthetic,
                record.brain_mask,
                spread,
            )
            rows.append(read_row(record.name, *files))
        comparison_figure(rows, output / "comparison.png")

    inputs = ("data", *(f"predict-{name}" for name in shown["methods"]))
    files = ("comparison.png",)
    return Step("figures", "Draw the figure", output, plain["figure"], run, inputs, files=files)
