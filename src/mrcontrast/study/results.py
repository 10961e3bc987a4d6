"""Steps of a study after translation: evaluations, reports and the figure."""

from pathlib import Path
from typing import Any

from mrcontrast.errors import UsageError
from mrcontrast.runs.folder import RunFolder
from mrcontrast.study.ledger import Step
from mrcontrast.study.runs import runs_of

MASKS = "masks_full_grid"
EVALUATION, FULL_GRID_EVALUATION = "evaluation", "evaluation_full_grid"
TABLES = ("summary.json", "summary.md", "subjects.csv")


def predictions_of(methods: list[str], folder: Path) -> dict[str, Path]:
    """Return the folders of predictions by method."""
    return {name: folder / "predictions" / name for name in methods}


def after(methods: list[str], *others: str) -> tuple[str, ...]:
    """Return the steps that a step on methods follows."""
    return ("data", *others, *(f"predict-{name}" for name in methods))


def evaluate_step(methods: list[str], plain: dict[str, Any], folder: Path) -> Step:
    """Score methods against the prepared volumes, with their costs if the study has ``costs``."""
    output = folder / EVALUATION
    features, dims, costs = plain.get("features"), plain.get("dims", 3), plain.get("costs")
    settings: dict[str, Any] = {"methods": methods}
    settings |= {"costs": True} if costs else {}
    settings |= {"features": features} if features else {}
    settings |= {"dims": dims} if dims != 3 else {}
    settings |= (metrics := added_metrics(plain))

    def run() -> None:
        from mrcontrast.commands.evaluate import evaluate
        from mrcontrast.evaluation.added_metrics import build_metrics
        from mrcontrast.evaluation.costs import add_costs
        from mrcontrast.evaluation.protocol import Protocol, read_features

        predictions = predictions_of(methods, folder)
        added = build_metrics(metrics.get("metrics", {}))
        protocol = Protocol(features=read_features(features or "none"), dims=dims, metrics=added)
        evaluate(predictions, folder / "data", output, protocol=protocol)
        if costs:
            models = {name: plain["predict"][name]["model"] for name in methods}
            runs = {name: runs_of(model, plain, folder) for name, model in models.items()}
            add_costs(output, predictions, runs)

    inputs = after(methods)
    return Step(EVALUATION, "Evaluate", output, settings, run, inputs, files=TABLES, anchors=TABLES)


def added_metrics(plain: dict[str, Any]) -> dict[str, Any]:
    """Return the setting "metrics": the content of the YAML that the study names; {} without."""
    if plain.get("metrics") is None:
        return {}
    from mrcontrast.evaluation.added_metrics import build_metrics, read_nodes

    found = read_nodes(plain["metrics"])
    build_metrics(found)  # a fault shows before the first training
    return {"metrics": found}


def evaluate_full_grid_step(methods: list[str], plain: dict[str, Any], folder: Path) -> Step:
    """Score methods against the raw volumes, on their own grids."""
    output, metrics = folder / FULL_GRID_EVALUATION, added_metrics(plain)

    def run() -> None:
        from mrcontrast.commands.evaluate import evaluate_originals
        from mrcontrast.data.manifest import Manifest
        from mrcontrast.evaluation.added_metrics import build_metrics

        records = Manifest.read(folder / "data").split("test")
        added = build_metrics(metrics.get("metrics", {}))
        evaluate_originals(predictions_of(methods, folder), records, folder / MASKS, output, added)

    name, title, settings = FULL_GRID_EVALUATION, "Evaluate at full grid", {"methods": methods}
    inputs, files = after(methods, MASKS), TABLES
    return Step(name, title, output, settings | metrics, run, inputs, files=files, anchors=files)


def report_step(evaluation: str, methods: list[str], plain: dict[str, Any], folder: Path) -> Step:
    """Write the HTML page of an evaluation, and add it to the MLflow records of the runs."""
    output = folder / evaluation.replace(EVALUATION, "report")

    def run() -> None:
        from mrcontrast.report.page import write_report
        from mrcontrast.tracking.attachments import attach_evaluation

        write_report(folder / evaluation, output / "report.html")
        for name in methods:
            if (model := plain["predict"][name]["model"]) in plain["train"]:
                trained = RunFolder(folder / "runs" / model)
                attach_evaluation(trained, name, folder / evaluation, output / "report.html")

    name, title, settings = output.name, f"Write {output.name}", {"methods": methods}
    inputs, files = (*after(methods), evaluation), ("report.html",)
    return Step(name, title, output, settings, run, inputs, files=files)


def figure_step(plain: dict[str, Any], folder: Path) -> Step:
    """Plot sources, real and synthetic images and the error, as prepared."""
    shown = {"spread": []} | plain["figure"]
    check_figure(shown, plain["predict"])
    output = folder / "figures"

    def run() -> None:
        from mrcontrast.data.manifest import Manifest
        from mrcontrast.data.predictions import PredictionFiles, synthetic_name
        from mrcontrast.evaluation.protocol import find_roles
        from mrcontrast.report.figure import comparison_figure, read_row

        found, rows = predictions_of(shown["methods"], folder), []
        roles = find_roles(found)
        for record in Manifest.read(folder / "data").split("test")[: shown["subjects"]]:
            file = synthetic_name(record.name, roles.target)
            synthetic = {name: place / file for name, place in found.items()}
            spread = {name: PredictionFiles(synthetic[name]).std for name in shown["spread"]}
            sources = {name: record.images[name] for name in roles.sources}
            real, mask = record.images[roles.target], record.brain_mask
            images = sources, real, synthetic, mask, spread
            rows.append(read_row(record.name, *images, roles.target))
        comparison_figure(rows, output / "comparison.png")

    inputs, files = after(shown["methods"]), ("comparison.png",)
    return Step("figures", "Draw the figure", output, plain["figure"], run, inputs, files=files)


def check_figure(shown: dict[str, Any], predicted: dict[str, Any]) -> None:
    """Raise UsageError for a method without a prediction on the prepared grid, or a spread."""
    methods = set(shown["methods"])
    full = {name for name, node in predicted.items() if node.get("full_grid")}
    single = {name for name in methods & set(predicted) if predicted[name].get("samples", 1) < 2}
    no_spread = set(shown["spread"]) - (methods - single)
    for wrong, expected, key in (
        (methods - set(predicted), "methods that study.predict names", "methods"),
        (methods & full, "methods without full_grid", "methods"),
        (no_spread, "methods of the figure with 2 or more samples", "spread"),
    ):
        if wrong:
            raise UsageError(
                f"Expected {expected}, got {', '.join(sorted(wrong))} (study.figure.{key}). "
                "Leave them out."
            )
