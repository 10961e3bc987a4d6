"""``mrcontrast study``: the whole chain, from raw data to a table, each step done once."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from mrcontrast.config.arguments import check_folder, check_name, check_own_folder
from mrcontrast.errors import UsageError
from mrcontrast.storage.folder_lock import alone
from mrcontrast.study.changes import outlook
from mrcontrast.study.ledger import Ledger, Step
from mrcontrast.study.steps import (
    DRAW_KEYS,
    EVALUATION,
    FULL_GRID_EVALUATION,
    evaluate_full_grid_step,
    evaluate_step,
    figure_step,
    full_grid_methods,
    masks_step,
    predict_step,
    prepare_step,
    report_step,
    train_step,
)

TRAIN_KEYS = {"overrides", "parents", "start_from"}
PREDICT_KEYS = {"model", *DRAW_KEYS, "shuffle_flair", "full_grid"}
TABLES = ("In the brain", "Whole image", "Costs")  # those that a study prints
EVALUATIONS = {EVALUATION: "As prepared", FULL_GRID_EVALUATION: "On the subjects' own grids"}


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
    folder = place_of(config)
    steps = plan(config.study, folder)
    ledger = Ledger(folder / "steps")
    outlook(ledger, steps)  # refuses a folder of others before anything is written to it
    with alone(ledger.folder, ".study.lock", "study"):
        for line in outlook(ledger, steps):
            console.print(line, markup=False, soft_wrap=True)
        for number, step in enumerate(steps, start=1):
            do(ledger, step, f"[{number}/{len(steps)}] {step.title}", config, console)
    show(console, folder, steps)
    return 0


def do(ledger: Ledger, step: Step, head: str, config: DictConfig, console: Any) -> None:  # noqa: ANN401 - rich's, late
    """Use the result of a step again, bring an earlier one back, or run the step."""
    if ledger.is_finished(step):
        remark = step.remark()
        console.print(f"{head}: reused{f' ({remark})' if remark else ''}", markup=False)
        return
    if (earlier := ledger.restore(step)) is not None and ledger.is_finished(step):
        console.print(f"{head}: the earlier result from {earlier}", markup=False)
        return
    usual = config.study.minutes.get(step.name)
    console.print(head + ("" if usual is None else f" (about {usual:g} min)"), markup=False)
    seconds = ledger.run(step)
    console.print(f"{head}: {seconds:.0f} s", markup=False)


def place_of(config: DictConfig) -> Path:
    """Return the folder of a study.

    Raises:
        UsageError: It is empty, or shared with others; or the name of the study leads elsewhere.
    """
    check_name(config.study.get("name"), "study.name")
    check_folder(OmegaConf.select(config, "paths.outputs", default="."), "paths.outputs")
    folder = Path(check_folder(config.out, "out"))
    check_own_folder(folder, "out", [Path.home(), Path.cwd().parent])
    return folder.absolute()


def plan(config: DictConfig, folder: Path) -> list[Step]:
    """Return the steps of a study in order.

    Args:
        config: Keys prepare, common, train, predict and minutes, figure where one is wanted,
            source where the raw data is not made, features (a name of ``configs/features``) to
            measure through, metrics (a YAML of added ones), costs for a table of costs, and dims 2
            to score slices; see ``configs/study``.
        folder: Where everything goes.

    Raises:
        UsageError: The study's config does not fit together.
        MrcontrastError: A run that a training starts from cannot be used.
    """
    plain: Any = OmegaConf.to_container(config, resolve=True)
    if plain.get("source", "") is None:
        raise UsageError(
            "Expected a folder of raw data, got none (study.source). "
            "Add study.source=FOLDER, or set MRCONTRAST_REAL_DATA."
        )
    refuse_unknown_keys(plain["train"], TRAIN_KEYS, "study.train")
    refuse_unknown_keys(plain["predict"], PREDICT_KEYS, "study.predict")
    for key in ("train", "predict"):
        for name in plain[key]:
            check_name(name, f"study.{key}", parts=1)
    full = full_grid_methods(plain)
    prepared = [name for name in plain["predict"] if name not in full]
    steps = [
        prepare_step(plain, folder),
        *(train_step(name, plain, folder) for name in plain["train"]),
        *([masks_step(folder)] if full else []),
        *(predict_step(name, plain, folder) for name in plain["predict"]),
        *([evaluate_step(prepared, plain, folder)] if prepared else []),
        *([evaluate_full_grid_step(full, plain, folder)] if full else []),
        *([figure_step(plain, folder)] if "figure" in plain else []),
        *([report_step(EVALUATION, prepared, plain, folder)] if prepared else []),
        *([report_step(FULL_GRID_EVALUATION, full, plain, folder)] if full else []),
    ]
    names = [step.name for step in steps]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(
            f"Expected names of its own for each step, got {', '.join(twice)} twice (study.train). "
            "Rename the training."
        )
    return steps


def refuse_unknown_keys(nodes: dict[str, dict[str, Any]], known: set[str], where: str) -> None:
    """Raise UsageError if a node has a key that nothing reads."""
    for name, node in nodes.items():
        if unknown := sorted(set(node) - known):
            raise UsageError(
                f"Expected keys among {', '.join(sorted(known))}, got {', '.join(unknown)} "
                f"({where}.{name}). Correct the study."
            )


def show(console: Any, folder: Path, steps: list[Step]) -> None:  # noqa: ANN401 - rich's, late
    """Print the tables of the evaluations and where everything lies."""
    import json

    from mrcontrast.evaluation.terminal import to_rich

    for step in steps:
        if step.name in EVALUATIONS:
            console.print(f"\n{EVALUATIONS[step.name]}", markup=False)
            summary = json.loads((step.output / "summary.json").read_text())
            console.print(to_rich(summary, TABLES))
            console.print(f"All tables: {step.output.name}/summary.md", markup=False)
    figures = ["figures/comparison.png" for step in steps if step.name == "figures"]
    reports = [f"{step.name}/report.html" for step in steps if step.name.startswith("report")]
    console.print(f"Everything lies in {folder}: {', '.join(figures + reports)}, ...")
