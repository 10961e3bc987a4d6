"""``mrcontrast study``: prepare, train, translate, evaluate and report, each step once."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from mrcontrast.config.arguments import check_folder, check_name, check_own_folder
from mrcontrast.config.option_names import renamed_node
from mrcontrast.errors import UsageError
from mrcontrast.storage.folder_lock import alone
from mrcontrast.study import results, steps
from mrcontrast.study.changes import outlook
from mrcontrast.study.ledger import Ledger, Step
from mrcontrast.study.results import EVALUATION, FULL_GRID_EVALUATION

KEYS = {
    "train": {"overrides", "parents", "start_from"},
    "predict": {"model", *steps.PREDICT_KEYS, "shuffle_source", "full_grid"},
}
TABLES = ("In the brain", "Whole image", "Costs")  # to print
EVALUATIONS = {EVALUATION: "As prepared", FULL_GRID_EVALUATION: "On the subjects' own grids"}


def study(config: DictConfig) -> int:
    """Run the study of ``configs/study.yaml``, reuse finished steps, and return exit code 0."""
    from rich.console import Console

    console = Console(highlight=False)
    folder = place_of(config)
    planned = plan(config.study, folder)
    ledger = Ledger(folder / "steps")
    outlook(ledger, planned)  # checks the folder before anything is written to it
    with alone(ledger.folder, ".study.lock", "study"):
        for line in outlook(ledger, planned):
            console.print(line, markup=False, soft_wrap=True)
        for number, step in enumerate(planned, start=1):
            do(ledger, step, f"[{number}/{len(planned)}] {step.title}", config, console)
    show(console, folder, planned)
    return 0


def do(ledger: Ledger, step: Step, head: str, config: DictConfig, console: Any) -> None:  # noqa: ANN401 - rich's, late
    """Reuse the result of a step, restore an earlier one, or run the step."""
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
    """Return the folder of a study; raise UsageError if it is empty or shared with others."""
    check_name(config.study.get("name"), "study.name")
    check_folder(OmegaConf.select(config, "paths.outputs", default="."), "paths.outputs")
    folder = Path(check_folder(config.out, "out"))
    check_own_folder(folder, "out", [Path.home(), Path.cwd().parent])
    return folder.absolute()


def plan(config: DictConfig, folder: Path) -> list[Step]:
    """Return the steps of a study in order; an inconsistent one is UsageError.

    Args:
        config: Node ``study`` with keys prepare, common, train, predict, minutes and optionally
            figure, source (raw data), features (a name of ``configs/features``), metrics (a
            YAML of added ones), costs, dims (2 scores slices); see ``configs/study``.
        folder: Folder of all outputs.
    """
    plain: Any = OmegaConf.to_container(config, resolve=True)
    if plain.get("source", "") is None:
        raise UsageError(
            "Expected a folder of raw data, got none (study.source). "
            "Add study.source=FOLDER, or set MRCONTRAST_REAL_DATA."
        )
    plain["predict"] = {name: renamed_node(node) for name, node in plain["predict"].items()}
    for key, known in KEYS.items():
        check_nodes(plain[key], known, f"study.{key}")
    full = [name for name, node in plain["predict"].items() if node.get("full_grid")]
    prepared = [name for name in plain["predict"] if name not in full]
    planned = [
        steps.prepare_step(plain, folder),
        *(steps.train_step(name, plain, folder) for name in plain["train"]),
        *([steps.masks_step(folder)] if full else []),
        *(steps.predict_step(name, plain, folder) for name in plain["predict"]),
        *([results.evaluate_step(prepared, plain, folder)] if prepared else []),
        *([results.evaluate_full_grid_step(full, plain, folder)] if full else []),
        *([results.figure_step(plain, folder)] if "figure" in plain else []),
        *([results.report_step(EVALUATION, prepared, plain, folder)] if prepared else []),
        *([results.report_step(FULL_GRID_EVALUATION, full, plain, folder)] if full else []),
    ]
    names = [step.name for step in planned]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(
            f"Expected names of its own for each step, got {', '.join(twice)} twice (study.train). "
            "Rename the training."
        )
    return planned


def check_nodes(nodes: dict[str, dict[str, Any]], known: set[str], where: str) -> None:
    """Raise UsageError for an unknown key of a node, or a name that is no folder's."""
    for name, node in nodes.items():
        check_name(name, where, parts=1)
        if unknown := sorted(set(node) - known):
            raise UsageError(
                f"Expected keys among {', '.join(sorted(known))}, got {', '.join(unknown)} "
                f"({where}.{name}). Correct the study."
            )


def show(console: Any, folder: Path, planned: list[Step]) -> None:  # noqa: ANN401 - rich's, late
    """Print the tables of the evaluations and the places of the outputs."""
    import json

    from mrcontrast.evaluation.terminal import to_rich

    for step in planned:
        if step.name in EVALUATIONS:
            console.print(f"\n{EVALUATIONS[step.name]}", markup=False)
            summary = json.loads((step.output / "summary.json").read_text())
            console.print(to_rich(summary, TABLES))
            console.print(f"All tables: {step.output.name}/summary.md", markup=False)
    figures = ["figures/comparison.png" for step in planned if step.name == "figures"]
    reports = [f"{step.name}/report.html" for step in planned if step.name.startswith("report")]
    console.print(f"All outputs are in {folder}: {', '.join(figures + reports)}, ...")
