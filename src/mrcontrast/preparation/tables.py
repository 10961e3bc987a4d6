"""Tables of a data set: sessions left out, measures, and remarks, those on headers included."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from mrcontrast.data.record import ABSENT, MASKS
from mrcontrast.imaging.header import FORMS_AGREE_MM
from mrcontrast.preparation.outcome import Outcome
from mrcontrast.preparation.session import Dropped, Remark
from mrcontrast.storage.files import write_text

DROPPED, MEASURES, REMARKS = "dropped.tsv", "measures.tsv", "remarks.tsv"
TEXTS = {  # by the name of a finding: its text and limit
    "qform_sform_mm": ("qform and sform are {} mm apart; the sform counts", f"<= {FORMS_AGREE_MM}"),
    "affine": ("{}, so its orientation is a guess", "one form set"),
    "sheared": ("the sform is sheared: {}", "right angles"),
    "units": ("the unit is {}", "mm"),
}


def write_tables(
    root: Path, dropped: Sequence[Dropped], outcomes: Sequence[Outcome], remarks: Sequence[Remark]
) -> None:
    """Write ``dropped.tsv``, ``measures.tsv`` and ``remarks.tsv``."""
    head = ("item", "operator", "measure", "value", "threshold", "reason")
    _write(
        root / DROPPED,
        head,
        ((d.name, d.operator, d.measure, d.value, d.threshold, d.reason) for d in dropped),
    )
    rows = (
        (outcome.name, c.step, c.operator, c.measure, c.before, c.after)
        for outcome in sorted(outcomes, key=lambda outcome: outcome.name)
        for c in outcome.changes
    )
    _write(root / MEASURES, ("item", "step", "operator", "measure", "before", "after"), rows)
    found = ((r.item, r.operator, r.measure, r.value, r.threshold, r.text) for r in remarks)
    _write(root / REMARKS, head, found)


def _write(path: Path, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table of one-line cells, whole."""
    lines = ["\t".join(head), *("\t".join(map(_cell, row)) for row in rows)]
    write_text(path, "\n".join(lines) + "\n")


def _cell(value: Any) -> str:  # noqa: ANN401 - whatever stands in a table
    r"""Format a value on one line.

    >>> _cell(None), _cell(0.30000000000000004), _cell("two\nlines"), _cell("")
    ('n/a', '0.3', 'two lines', 'n/a')
    """
    text = f"{value:.7g}" if isinstance(value, float) else str("" if value is None else value)
    return " ".join(text.split()) or ABSENT


def header_remarks(outcomes: Sequence[Outcome]) -> list[Remark]:
    """Return a remark for each uncertain place of a scan that ``CheckHeader`` has measured."""
    return [remark for outcome in outcomes for remark in _of_session(outcome)]


def _of_session(outcome: Outcome) -> Iterator[Remark]:
    """Read the measures ``flair_header`` and so on of one session."""
    measures = {change.measure: change.after for change in outcome.changes}
    for measure, facts in measures.items():
        contrast = measure.removesuffix("_header")
        if contrast in (measure, *MASKS):
            continue
        for found in str(facts or "").split("; "):
            name, _, value = found.partition(" ")
            if name not in TEXTS or (name, value) == ("units", "unknown"):
                continue
            text, limit = TEXTS[name]
            number = float(value) if name == "qform_sform_mm" else 1.0
            line = f"{outcome.name}: {contrast}: {text.format(value)}"
            yield Remark(outcome.name, "CheckHeader", f"{contrast}_{name}", number, limit, line)
