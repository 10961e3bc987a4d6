"""The HTML page of an evaluation."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mrcontrast.config.arguments import check_replaces_own
from mrcontrast.errors import printable
from mrcontrast.evaluation.table import left_out
from mrcontrast.pages.templates import environment
from mrcontrast.report.agreement import REAL, SYNTHETIC, IntensityAgreement, scored_agreements
from mrcontrast.report.evaluation import Evaluation, Ranking, choose, rank, read_evaluation
from mrcontrast.report.generic_tables import words
from mrcontrast.report.pictures import Picture, draw_strip
from mrcontrast.report.plots import AgreementPlot, BoxPlot, agreement_plot, box_plot
from mrcontrast.report.provenance import data_facts, method_facts
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
    """Options of the page; see ``mrcontrast report``."""

    method: str | None = None  # None takes the first with an uncertainty map, else the first
    metric: str | None = None  # ranks the subjects; None takes PSNR
    max_subjects: int = 10  # in the viewer
    max_megabytes: float = 56.0  # of volumes in the page
    sources: Path | None = None  # images of an evaluation that does not know them


def write_report(source: Path, out: Path | None = None, choices: Choices | None = None) -> Path:
    """Write the page of an evaluation, and return it; nothing in it is loaded from elsewhere.

    Args:
        source: Folder of an evaluation, or of a study that has one.
        out: The page; None takes that of the study, or report.html in the evaluation.
        choices: Which method, how many subjects.

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
    with_spread = [
        method
        for method in evaluation.methods
        if any(session.spread(method) is not None for session in sessions.values())
    ]
    method = choose(choices.method, with_spread, evaluation.methods)
    metric = choose(choices.metric, ["psnr"], evaluation.metrics)
    ranking = rank(evaluation, method, metric, choose(None, [BRAIN], evaluation.regions))
    context = _context(evaluation, sessions, ranking, choices)
    template = environment("mrcontrast.report").get_template("page.html.j2")
    write_text(path, printable(template.render(context)))
    return path


def _context(
    evaluation: Evaluation, sessions: dict[str, Session], ranking: Ranking, choices: Choices
) -> dict[str, Any]:
    """Return the variables of the template; each session is read once, worst and best in turn."""
    intensity = evaluation.summary["intensity_range"]
    fixed = intensity["rule"] == "fixed"
    window = (float(intensity["low"]), float(intensity["high"])) if fixed else (0.0, 1.0)
    viewer = Viewer(window, choices.max_megabytes, choices.max_subjects)
    agreement, strips = IntensityAgreement(), dict[str, list[Picture]]()
    values = {name: _values(evaluation, ranking, name) for name in ranking.names}
    pictured = {*ranking.worst[:PICTURES_EACH], *ranking.best[:PICTURES_EACH]}
    for name in ranking.in_turn:
        images = read_images(sessions[name], evaluation)
        agreement.add(sessions[name].case.subject, images)
        if name in pictured and ranking.method in images.synthetic:
            strips[name] = draw_strip(name, images, ranking.method, window, viewer.error)
        viewer.add(name, images, values[name])
    metric, volumes = evaluation.metric(ranking.metric), viewer.volumes
    return {
        "data": data_facts(evaluation),
        "methods": method_facts(sessions, evaluation.methods),
        "versions": evaluation.summary.get("versions", {}),
        "missing": left_out(evaluation.summary),
        "tables": region_tables(evaluation),
        "tests": other_tables(evaluation, "tests"),
        "checks": other_tables(evaluation, "checks"),
        "others": further_tables(evaluation),
        "boxes": _box_plots(evaluation),
        "agreements": _agreement_plots(evaluation, agreement),
        "ranking": ranking,
        "metric": metric.heading,
        "metric_title": metric.title,
        "values": values,
        "region": words(ranking.region),
        "strips": strips,
        "shown": {session["name"] for session in viewer.sessions},
        "viewer": viewer.payload(evaluation, ranking.method),
        "volumes": {name: volume.text for name, volume in volumes.items()},
        "bits": " or ".join(map(str, sorted({volume.bits for volume in volumes.values()}))),
        "step": max((volume.step for volume in volumes.values()), default=0.0),
        "megabytes": viewer.megabytes,
        "niivue": NIIVUE,
    }


def _values(evaluation: Evaluation, ranking: Ranking, name: str) -> dict[str, str]:
    """Return the ranking metric of one session, by method, as text with its unit."""
    metric = evaluation.metric(ranking.metric)
    rows = {m: evaluation.row(name, m, ranking.region) for m in evaluation.methods}
    return {
        method: f"{row.scores[metric.name]:.{metric.digits}f} {metric.unit}".strip()
        for method, row in rows.items()
        if row is not None and metric.name in row.scores
    }


def _box_plots(evaluation: Evaluation) -> dict[str, list[BoxPlot]]:
    """Return the box plots by region, without metrics that no subject has."""
    plots: dict[str, list[BoxPlot]] = {}
    for region in evaluation.regions:
        for name in (m for m in evaluation.metrics if not m.endswith((REAL, SYNTHETIC))):
            values = {m: evaluation.by_subject(m, region, name) for m in evaluation.methods}
            values = {m: subjects for m, subjects in values.items() if subjects}
            if any(v for subjects in values.values() for v in subjects.values()):
                metric = evaluation.metric(name)
                plot = box_plot(metric.heading, values, metric.digits)
                plots.setdefault(words(region), []).append(plot)
    return plots


def _agreement_plots(
    evaluation: Evaluation, intensity: IntensityAgreement
) -> dict[str, list[AgreementPlot]]:
    """Return the Bland-Altman plots by method."""
    found = [*scored_agreements(evaluation), *intensity.results()]
    return {
        method: [agreement_plot(item, number) for item in found if item.method == method]
        for number, method in enumerate(evaluation.methods)
    }
