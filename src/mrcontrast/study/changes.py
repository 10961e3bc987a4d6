"""What has changed since the steps of a study were done, and what will be done again."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mrcontrast.config.build import compose, resolve
from mrcontrast.errors import MrcontrastError
from mrcontrast.runs.folder import RunFolder
from mrcontrast.runs.identity import without_places
from mrcontrast.study.ledger import Ledger, Step
from mrcontrast.study.records import FINISHED, Record, is_empty, refuse_foreign


def outlook(ledger: Ledger, steps: Sequence[Step]) -> list[str]:
    """Say what will become of the results that are there, before any work; changes nothing.

    Returns:
        One line for each step that is done again, goes on, or comes back from an earlier state.

    Raises:
        MrcontrastError: A step would write to a folder that this study has not made, or the record
            of a step cannot be read.
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
    refuse_foreign(foreign, ledger.folder)
    return lines


def fates(
    ledger: Ledger, step: Step, record: Record | None, cause: str | None, earlier: Path | None
) -> list[str]:
    """Return what will become of the results of one step and why; nothing if there are none."""
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
    """Return a line on the first setting that a finished training does not share with today's.

    A study knows a training by its overrides. What these leave to the YAML files of configs may
    have changed since: then its result stands, and a person decides. New keys do not count.

    Args:
        run: The finished training.
        overrides: That it is composed with.

    Returns:
        None where nothing differs, or where today's config cannot be told.
    """
    from mrcontrast.training.lineage import inherit
    from mrcontrast.training.resume import course

    try:
        config, _ = inherit(compose("train", overrides))
        configs = (run.config, resolve(config))
        before, today = (flat(without_places(course(each))) for each in configs)
    except MrcontrastError:
        return None
    for key, value in before.items():
        if key in today and today[key] != value:
            now = f"{key} was {value} then and is {today[key]} today"
            return f"{now}; to train anew move {run.path} away"
    return None


def flat(node: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the leaves of a nest of dicts by their dotted keys; lists are leaves.

    >>> flat({"a": {"b": 1, "c": [2]}, "d": 3})
    {'a.b': 1, 'a.c': [2], 'd': 3}
    """
    leaves: dict[str, Any] = {}
    for key, value in node.items():
        inner = isinstance(value, dict)
        leaves |= flat(value, f"{prefix}{key}.") if inner else {f"{prefix}{key}": value}
    return leaves
