"""The HTML page of an evaluation."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mrcontrast.config.arguments import check_replaces_own
from mrcontrast.errors import printable
from mrcontrast.pages.templates import environment
from mrcontrast.report.agreement import REAL, SYNTHETIC, IntensityAgreement, scored_agreements
from mrcontrast.report.evaluation import Evaluation, read_evaluation
from mrcontrast.report.generic_tables import words
from mrcontrast.report.pictures import Picture, draw_strip
from mrcontrast.report.plots import AgreementPlot, BoxPlot, agreement_plot, box_plot
from mrcontrast.report.provenance import (
    data_facts,
    method_facts,
    missing_notes,
    version_facts,
)
from mrcontrast.report.ranking import Ranking, rank
from mrcontrast.report.sessions import Session, find_sessions, read_images
from mrcontrast.report.tables import further_tables, other_tables, region_tables
from mrcontrast.report.viewer import Viewer
from mrcontrast.storage.files import write_text

PAGE_SIGN = ": evaluation</title>"  # in the template
NIIVUE = "0.69.0"
PICTURES_EACH = 2  # still pictures of the worst, and of the best
BRAIN = "brain"


@dataclass(frozen=True)
class Choices:
    """Options of the page.

    Attributes:
        method: Shown first, and the one that ranks the subjects; None takes the first with an
            uncertainty map, else the first.
        metric: Ranks the subjects; None takes PSNR.
        max_subjects: Most subjects in the viewer.
        max_megabytes: Most MB of volumes in the page.
        sources: Folder of source images, for an evaluation that does not know them.
    """

    method: str | None = None
    metric: str | None = None
    max_subjects: int = 10
    max_megabytes: float = 56.0
    sources: Path | None = None


@dataclass
class Gathered:
    """Results of one pass over all volumes.

    Attributes:
        viewer: The sessions that can be looked at.
        agreement: Intensities of all sessions.
        strips: Still pictures by session.
    """

    viewer: Viewer
    agreement: IntensityAgreement = field(default_factory=IntensityAgreement)
    strips: dict[str, list[Picture]] = field(default_factory=dict)


def write_report(source: Path, out: Path | None = None, choices: Choices | None = None) -> Path:
    """Write the page of an evaluation; nothing in it is loaded from elsewhere.

    Args:
        source: Folder of an evaluation, or of a study that has one.
        out: The page; None takes that of the study, or puts report.html into the evaluation's
            folder.
        choices: Which method, how many subjects.

    Returns:
        The page.

    Raises:
        UsageError: There is no such method or metric.
        MrcontrastError: The evaluation or its volumes are missing, or were changed since; or
            the page would take the place of another file.
    """
    choices = choices or Choices()
    evaluation = read_evaluation(Path(source))
    folder = evaluation.folder if evaluation.folder == Path(source) else Path(source) / "report"
    path = Path(out) if out is not None else folder / "report.html"
    check_replaces_own(path, PAGE_SIGN, "--out")
    sessions = find_sessions(evaluation, choices.sources)
    method = evaluation.choose_method(choices.method, _with_spread(sessions, evaluation))
    metric = evaluation.choose_metric(choices.metric)
    regions = evaluation.regions
    ranking = rank(evaluation, method, metric, BRAIN if BRAIN in regions else regions[0])
    gathered = _gather(evaluation, sessions, ranking, choices)
    context = _context(evaluation, sessions, ranking, gathered)
    template = environment("mrcontrast.report").get_template("page.html.j2")
    write_text(path, printable(template.render(context)))
    return path


def _with_spread(sessions: dict[str, Session], evaluation: Evaluation) -> list[str]:
    """Return the methods with uncertainty maps."""
    return [
        method
        for method in evaluation.methods
        if any(session.spread(method) is not None for session in sessions.values())
    ]


def _gather(
    evaluation: Evaluation, sessions: dict[str, Session], ranking: Ranking, choices: Choices
) -> Gathered:
    """Read each session once, worst and best in turn, and keep its part of the page."""
    intensity = evaluation.summary["intensity_range"]
    fixed = intensity["rule"] == "fixed"
    window = (float(intensity["low"]), float(intensity["high"])) if fixed else (0.0, 1.0)
    found = Gathered(Viewer(window, choices.max_megabytes, choices.max_subjects))
    pictured = {*ranking.worst[:PICTURES_EACH], *ranking.best[:PICTURES_EACH]}
    for name in ranking.in_turn:
        images = read_images(sessions[name], evaluation)
        found.agreement.add(sessions[name].case.subject, images)
        if name in pictured and ranking.method in images.synthetic:
            found.strips[name] = draw_strip(
                name, images, ranking.method, window, found.viewer.error
            )
        found.viewer.add(name, images, _values(evaluation, ranking, name))
    return found


def _values(evaluation: Evaluation, ranking: Ranking, name: str) -> dict[str, str]:
    """Return the ranking metric of one session, by method, as text with its unit."""
    metric = evaluation.metric(ranking.metric)
    rows = {m: evaluation.row(name, m, ranking.region) for m in evaluation.methods}
    return {
        method: f"{row.scores[metric.name]:.{metric.digits}f} {metric.unit}".strip()
        for method, row in rows.items()
        if row is not None and metric.name in row.scores
    }


def _context(
    evaluation: Evaluation, sessions: dict[str, Session], ranking: Ranking, gathered: Gathered
) -> dict[str, Any]:
    """Return the variables of the template."""
    viewer = gathered.viewer
    shown = {session["name"] for session in viewer.sessions}
    steps = [volume.step for volume in viewer.volumes.values()]
    bits = sorted({volume.bits for volume in viewer.volumes.values()})
    return {
        "data": data_facts(evaluation),
        "methods": method_facts(sessions, evaluation.methods),
        "versions": version_facts(evaluation),
        "missing": missing_notes(evaluation),
        "tables": region_tables(evaluation),
        "tests": other_tables(evaluation, "tests"),
        "checks": other_tables(evaluation, "checks"),
        "others": further_tables(evaluation),
        "boxes": _box_plots(evaluation),
        "agreements": _agreement_plots(evaluation, gathered),
        "ranking": ranking,
        "metric": evaluation.metric(ranking.metric).heading,
        "metric_title": evaluation.metric(ranking.metric).title,
        "values": {name: _values(evaluation, ranking, name) for name in ranking.names},
        "region": words(ranking.region),
        "strips": gathered.strips,
        "shown": shown,
        "viewer": viewer.payload(evaluation, ranking.method),
        "volumes": {name: volume.text for name, volume in viewer.volumes.items()},
        "bits": " or ".join(map(str, bits)),
        "step": max(steps, default=0.0),
        "megabytes": viewer.megabytes,
        "niivue": NIIVUE,
    }


def _box_plots(evaluation: Evaluation) -> dict[str, list[BoxPlot]]:
    """Return the box plots by region, without metrics that no subject has."""
    plots: dict[str, list[BoxPlot]] = {}
    for region in evaluation.regions:
        for name in (m for m in evaluation.metrics if not m.endswith((REAL, SYNTHETIC))):
            values = {m: evaluation.by_subject(m, region, name) for m in evaluation.methods}
            values = {m: subjects for m, subjects in values.items() if subjects}
            if values and any(v for subjects in values.values() for v in subjects.values()):
                metric = evaluation.metric(name)
                plot = box_plot(metric.heading, values, metric.digits)
                plots.setdefault(words(region), []).append(plot)
    return plots


def _agreement_plots(evaluation: Evaluation, gathered: Gathered) -> dict[str, list[AgreementPlot]]:
    """Return the Bland-Altman plots by method."""
    found = [*scored_agreements(evaluation), *gathered.agreement.results()]
    return {
        method: [agreement_plot(item, number) for item in found if item.method == method]
        for number, method in enumerate(evaluation.methods)
    }
