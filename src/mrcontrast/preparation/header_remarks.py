"""What headers leave uncertain about the place of a scan, as remarks."""

from collections.abc import Iterator, Sequence

from mrcontrast.data.manifest import MASKS
from mrcontrast.imaging.header import FORMS_AGREE_MM
from mrcontrast.preparation.outcome import Outcome
from mrcontrast.preparation.session import Remark

TEXTS = {  # by the name of a finding: how it is said, and its limit
    "qform_sform_mm": ("qform and sform are {} mm apart; the sform counts", f"<= {FORMS_AGREE_MM}"),
    "affine": ("{}, so its orientation is a guess", "one form set"),
    "sheared": ("the sform is sheared: {}", "right angles"),
    "units": ("the unit is {}", "mm"),
}


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
