"""``mrcontrast study``: the whole chain, from raw data to a table, each step done once."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from mrcontrast.config import compose
from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.steps import Ledger, Step


def study(config: DictConfig) -> int:
    """Run the study of ``configs/study.yaml``; finished steps are reused.

    Returns:
        Exit code 0.

    Raises:
        MrcontrastError: A step failed.
        UsageError: The study's config does not fit together.
    """
    from rich.console import Console

    console = Console(highlight=False)
    folder = Path(config.folder).absolute()
    steps = plan(config.study, folder)
    ledger = Ledger(folder / "steps")
    for number, step in enumerate(steps, start=1):
        head = f"[{number}/{len(steps)}] {step.title}"
        if ledger.is_finished(step):
            console.print(f"{head}: reused", markup=False)
            continue
        usual = config.study.minutes.get(step.name)
        console.print(head + ("" if usual is None else f" (about {usual:g} min)"), markup=False)
        seconds = ledger.run(step)
        console.print(f"{head}: {seconds:.0f} s", markup=False)
    show(console, folder)
    return 0


def plan(config: DictConfig, folder: Path) -> list[Step]:
    """Return the steps of a study in order.

    Args:
        config: Keys prepare, common, train, predict, figure and minutes; see ``configs/study``.
        folder: Where everything goes.
    """
    plain: Any = OmegaConf.to_container(config, resolve=True)
    trained = [train_step(name, plain, folder) for name in plain["train"]]
    predicted = [predict_step(name, plain, folder) for name in plain["predict"]]
    return [
        prepare_step(plain, folder),
        *trained,
        *predicted,
        evaluate_step(plain, folder),
        figure_step(plain, folder),
    ]


def prepare_step(plain: dict[str, Any], folder: Path) -> Step:
    """Prepare the data set."""
    output = folder / "data"
    overrides = [*plain["prepare"], f"out={output}"]

    def run() -> None:
        from mrcontrast.prepare import prepare

        if prepare(compose("prepare", overrides)):
            raise MrcontrastError(
                f"Expected all pairs to be fit, got dropped ones (see {output}/dropped.tsv). "
                "Mend them, or set allow_dropped=true in the study's prepare list."
            )

    settings = OmegaConf.to_container(compose("prepare", overrides).recipe, resolve=True)
    return Step("data", "Prepare the data", output, settings, run)


def train_step(name: str, plain: dict[str, Any], folder: Path) -> Step:
    """Train one stage, as ``mrcontrast train`` does."""
    node = plain["train"][name]
    parents = node.get("parents", {})
    output = folder / "runs" / name
    overrides = [
        "data=prepared",
        f"data.root={folder / 'data'}",
        f"run_dir={output}",
        f"name={name}",
        f"logger.run_name={plain['name']}/{name}",
        *plain["common"],
        *(f"{key}={folder / 'runs' / parent}" for key, parent in parents.items()),
        *node["overrides"],
    ]

    def run() -> None:
        from mrcontrast.train import train

        train(compose("train", overrides))

    settings = {"overrides": [*plain["common"], *node["overrides"]], "parents": parents}
    return Step(name, f"Train {name}", output, settings, run, ("data", *parents.values()))


def predict_step(name: str, plain: dict[str, Any], folder: Path) -> Step:
    """Translate the held-out subjects by one method."""
    node = plain["predict"][name]
    model = node["model"]
    if model not in plain["train"]:
        raise UsageError(
            f"Expected a model that the study trains, got {model} (study.predict.{name}). "
            f"Choose one of {', '.join(plain['train'])}."
        )
    output = folder / "predictions" / name

    def run() -> None:
        from mrcontrast.data.manifest import Manifest
        from mrcontrast.translate import translate_records
        from mrcontrast.translator.from_run import from_run

        records = Manifest.read(folder / "data").split("test")
        translator = from_run(
            str(folder / "runs" / model),
            samples=node.get("samples", 1),
            steps=node.get("steps"),
            batch_size=node.get("batch_size", 16),
        )
        shuffled = node.get("shuffle_flair", False)
        translate_records(records, translator, output, shuffle_flair=shuffled)

    title = f"Translate held-out subjects: {name}"
    return Step(f"predict-{name}", title, output, node, run, ("data", model))


def evaluate_step(plain: dict[str, Any], folder: Path) -> Step:
    """Score all methods against the real volumes."""
    methods = list(plain["predict"])
    output = folder / "evaluation"

    def run() -> None:
        from mrcontrast.evaluate import evaluate

        predictions = {name: folder / "predictions" / name for name in methods}
        evaluate(predictions, folder / "data", output)

    inputs = ("data", *(f"predict-{name}" for name in methods))
    return Step("evaluation", "Evaluate", output, {"methods": methods}, run, inputs)


def figure_step(plain: dict[str, Any], folder: Path) -> Step:
    """Draw FLAIR, real and synthetic T1w and the error."""
    shown = plain["figure"]
    output = folder / "figures"

    def run() -> None:
        from mrcontrast.data.manifest import Manifest
        from mrcontrast.report.figure import comparison_figure, read_row

        rows = []
        for record in Manifest.read(folder / "data").split("test")[: shown["subjects"]]:
            file = f"{record.name}_desc-synth_T1w.nii.gz"
            synthetic = {name: folder / "predictions" / name / file for name in shown["methods"]}
            rows.append(
                read_row(record.name, record.flair, record.t1w, synthetic, record.brain_mask)
            )
        comparison_figure(rows, output / "comparison.png")

    inputs = ("data", *(f"predict-{name}" for name in shown["methods"]))
    return Step("figures", "Draw the figure", output, shown, run, inputs)


def show(console: Any, folder: Path) -> None:  # noqa: ANN401 - a rich console, imported late
    """Print the table of the evaluation and where everything lies."""
    import json

    from mrcontrast.report.table import to_rich

    summary = json.loads((folder / "evaluation" / "summary.json").read_text())
    console.print(to_rich(summary))
    console.print(f"Everything lies in {folder}; the picture is figures/comparison.png.")
