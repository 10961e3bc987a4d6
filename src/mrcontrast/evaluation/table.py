"""The tables of an evaluation as text: Markdown, CSV or LaTeX."""

import csv
import io
from collections.abc import Callable, Mapping
from typing import Any

from mrcontrast.errors import printable
from mrcontrast.evaluation.check_sheets import check_sheets
from mrcontrast.evaluation.pairing import subject_of
from mrcontrast.evaluation.sheets import Sheet, cost_sheets, sheets_of
from mrcontrast.metrics.intervals import MIN_SUBJECTS

LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        **{character: "\\" + character for character in "&%$#_{}"},
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "↑": r"$\uparrow$",
        "↓": r"$\downarrow$",
        "→": r"$\rightarrow$",
        "∞": r"$\infty$",
        "±": r"$\pm$",
        "|": r"$|$",
        "<": "$<$",
        ">": "$>$",
    }
)


def tables_of(summary: Mapping[str, Any]) -> list[Sheet]:
    """Return all tables of a summary: scores, tests, checks, costs."""
    return [*sheets_of(summary), *check_sheets(summary), *cost_sheets(summary)]


def to_markdown(summary: Mapping[str, Any]) -> str:
    """Return the tables as Markdown, with notes on the intensity range and missing subjects."""
    lines = []
    for sheet in tables_of(summary):
        words = sheet.text_columns
        rule = ["---"] * words + ["---:"] * (len(sheet.columns) - words)
        lines += [f"## {sheet.title}", ""]
        if sheet.rows:
            lines += [_line(sheet.columns), _line(rule), *map(_line, sheet.rows), ""]
        lines += [text for note in sheet.notes for text in (note, "")]
    return "\n".join([*lines, *_notes(summary)]) + "\n"


def to_csv_table(summary: Mapping[str, Any]) -> str:
    """Return the tables as CSV, each below a line with its title."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for sheet in tables_of(summary):
        writer.writerow([f"# {sheet.title}"])
        writer.writerows([sheet.columns, *sheet.rows] if sheet.rows else [[n] for n in sheet.notes])
    return text.getvalue()


def to_latex(summary: Mapping[str, Any]) -> str:
    """Return the tables as LaTeX; they need the package booktabs."""
    blocks = []
    for sheet in tables_of(summary):
        if not sheet.rows:
            blocks.append("".join(f"% {sheet.title}: {note}\n" for note in sheet.notes))
            continue
        words = sheet.text_columns
        layout = "l" * words + "r" * (len(sheet.columns) - words)
        notes = " ".join(sheet.notes) or _sentence(caption(summary))
        blocks.append(
            "\\begin{table}\n\\centering\n"
            f"\\caption{{{sheet.title.translate(LATEX)}. {notes.translate(LATEX)}}}\n"
            f"\\begin{{tabular}}{{{layout}}}\n\\toprule\n{_latex_line(sheet.columns)}\\midrule\n"
            + "".join(map(_latex_line, sheet.rows))
            + "\\bottomrule\n\\end{tabular}\n\\end{table}\n"
        )
    comments = "".join(f"% {line}\n" for line in _notes(summary))
    return "% \\usepackage{booktabs}\n\n" + "\n".join(blocks) + "\n" + comments


FORMATS: dict[str, tuple[str, Callable[[Mapping[str, Any]], str]]] = {
    "md": ("summary.md", to_markdown),
    "csv": ("summary.csv", to_csv_table),
    "latex": ("summary.tex", to_latex),
}


def caption(summary: Mapping[str, Any]) -> str:
    """Return the statistic that the tables show, and the normaliser of the references if any."""
    people = len({subject_of(name) for name in summary["subjects"]})
    text = "one subject, so no interval"
    if people > 1:
        text = f"mean over subjects; no interval below {MIN_SUBJECTS} subjects"
    if people >= MIN_SUBJECTS:
        text = "mean over subjects [95 % interval]"
    normaliser = summary.get("reference_normaliser")
    return text if normaliser is None else f"{text}; references normalised by {normaliser}"


def left_out(summary: Mapping[str, Any]) -> list[str]:
    """Return a line for each list of sessions that lack a counterpart, and of metrics left out."""
    lines = [
        f"{method}, {kind.replace('_', ' ')}: {', '.join(names)}"
        for method, lists in (summary.get("missing") or {}).items()
        for kind, names in lists.items()
        if names
    ]
    return lines + list(summary.get("left_out") or [])


def _notes(summary: Mapping[str, Any]) -> list[str]:
    """Return notes on range, normalisation, masks and missing subjects."""
    intensity = summary["intensity_range"]
    note = (
        f"{_sentence(caption(summary))} Intensity range {intensity['low']} to {intensity['high']}; "
        f"normalisation: {summary['normalisation']}. Masks: {summary['inputs']['masks']}."
    )
    return [printable(note), *(f"- {line}" for line in left_out(summary))]


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _latex_line(cells: list[str]) -> str:
    return " & ".join(cell.translate(LATEX) for cell in cells) + " \\\\\n"
