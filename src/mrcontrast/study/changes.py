"""Compare a study with its recorded steps: which of them run again, and why."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from mrcontrast.config.build import compose, resolve
from mrcontrast.errors import MrcontrastError
from mrcontrast.runs.folder import RunFolder
from mrcontrast.runs.identity import deciding, flat, without_places
from mrcontrast.study.ledger import Ledger, Step
from mrcontrast.study.records import FINISHED, Record, foreign_outputs, is_empty


def outlook(ledger: Ledger, steps: Sequence[Step]) -> list[str]:
    """Return a line for each result that changes: done again, continued, or restored.

    A folder that this study has not made, or a damaged record, is MrcontrastError.
    """
    lines: list[str] = []
    foreign: list[Path] = []
    again: set[str] = set()
    for step in steps:
        cause = next((name for name in step.inputs if name in again), None)
        if cause is None and ledger.is_finished(step):
            continue
        record = ledger.record_of(step)
        earlier, mark = (None, None) if cause else ledger.find_earlier(step)
        if mark is not None and mark.state == FINISHED:
            ledger.stamps[step.name] = mark.stamp
        else:
            again.add(step.name)
        if not ledger.is_ours(step, record):
            foreign.append(step.output)
        lines += [f"{step.title}: {fate}" for fate in fates(ledger, step, record, cause, earlier)]
    if foreign:
        raise foreign_outputs(foreign, ledger.folder)
    return lines


def fates(
    ledger: Ledger, step: Step, record: Record | None, cause: str | None, earlier: Path | None
) -> list[str]:
    """Return the fate of a step's result and the reason; nothing without a result."""
    if record is None or is_empty(step.output):
        return [] if earlier is None else [f"goes back to the earlier result in {earlier}"]
    kept = f"the present result is kept in {ledger.place(step, record)}"
    if earlier is not None:
        return [f"goes back to the earlier result in {earlier}; {kept}"]
    if cause is not None:
        return [f"done again because {cause} is, unless that comes out as before; {kept}"]
    why = ledger.fault(step, record)
    if ledger.may_go_on(step, record):
        return [f"goes on in its folder because {why}"]
    return [f"done again because {why}; {kept}"]


def changed_setting(run: RunFolder, overrides: list[str]) -> str | None:
    """Return a line on the first setting of a finished training that has changed since.

    A study identifies a training by its overrides. Changes of the YAML files that these leave open
    do not repeat a training; a person decides. New keys are ignored.
    """
    from mrcontrast.training.lineage import inherit

    try:
        config, _ = inherit(compose("train", overrides))
        plain: Any = [OmegaConf.to_container(each) for each in (run.config, resolve(config))]
        before, today = (flat(without_places(deciding(each))) for each in plain)
    except MrcontrastError:
        return None
    for key, value in before.items():
        if key in today and today[key] != value:
            now = f"{key} was {value} then and is {today[key]} today"
            return f"{now}; to train anew move {run.path} away"
    return None
