import csv
import io
from typing import Any

import pytest
from rich.console import Console

from mrcontrast.evaluation.metric_list import METRICS
from mrcontrast.evaluation.paired_tests import compare_methods
from mrcontrast.evaluation.statistics import Row
from mrcontrast.evaluation.table import caption, to_csv_table, to_latex, to_markdown
from mrcontrast.evaluation.terminal import to_rich


@pytest.fixture
def summary() -> dict[str, Any]:
    def region(psnr: float) -> dict[str, Any]:
        names = [metric.name for metric in METRICS if metric.per == "region"]
        figures = {name: {"mean": 0.5, "sd": None, "ci95": None, "n": 1} for name in names}
        figures["psnr"] = {"mean": psnr, "sd": 1.0, "ci95": (psnr - 1, psnr + 1), "n": 7}
        figures["rmse"] = {"mean": None, "sd": None, "ci95": None, "n": 7}
        return figures

    return {
        "methods": {
            name: {"brain": region(psnr), "image": region(psnr + 5)}
            for name, psnr in (("lookup", 14.5), ("control|net", 20.25))
        },
        "intensity_range": {"low": 0.0, "high": 1.0},
        "normalisation": "none: voxels as stored",
        "inputs": {"masks": "of the user"},
        "subjects": [f"sub-{number:02}" for number in range(1, 8)],
        "missing": {"lookup": {"no_prediction": ["sub-03"], "no_reference": []}},
    }


def test_markdown(summary: dict[str, Any]) -> None:
    lines = to_markdown(summary).splitlines()
    assert lines[0] == "## In the brain"
    assert lines[2].startswith("| Method | n | PSNR (dB) ↑ | SSIM ↑ | MS-SSIM ↑ | MAE ↓ | RMSE ↓ |")
    assert lines[4] == "| lookup | 7 | 14.50 [13.50, 15.50] | 0.500 | 0.500 | 0.5000 | ∞ |"
    assert lines[5].startswith("| control\\|net | 7 | 20.25 [19.25, 21.25] |")
    assert lines.index("## Whole image") > 5
    assert "| lookup | 7 | 19.50 [18.50, 20.50] |" in "\n".join(lines)
    assert (
        "range 0.0 to 1.0; normalisation: none: voxels as stored. Masks: of the user." in lines[-2]
    )
    assert lines[-1] == "- lookup, no prediction: sub-03"


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["sub-1"], "one subject, so no interval"),
        ([f"sub-{n}_ses-{s}" for n in range(4) for s in "ab"], "no interval below 5 subjects"),
        ([f"sub-{n}" for n in range(5)], "mean over subjects [95 % interval]"),
    ],
)
def test_the_caption_says_whether_and_why_there_are_intervals(
    summary: dict[str, Any], names: list[str], words: str
) -> None:
    assert words in caption(summary | {"subjects": names})


def test_rich(summary: dict[str, Any]) -> None:
    console = Console(width=140)
    with console.capture() as capture:
        console.print(to_rich(summary))
    text = capture.get()
    assert text.index("In the brain") < text.index("14.50 [13.50, 15.50]")
    assert text.index("Whole image") < text.index("19.50 [18.50, 20.50]")
    assert "mean over subjects" in text
    assert text.rstrip().endswith("- lookup, no prediction: sub-03")


def test_one_subject_and_one_method_are_told_in_words(summary: dict[str, Any]) -> None:
    summary |= {"subjects": ["sub-01"], "tests": compare_methods([], METRICS)}
    console = Console(width=140)
    with console.capture() as capture:
        console.print(to_rich(summary))
    text = capture.get()
    assert "one subject, so no interval" in text
    assert "mean over subjects" not in text
    assert "Paired tests in the brain: Expected two methods to compare" in text
    assert "Holm" not in text


def test_latex_escapes_and_aligns(summary: dict[str, Any]) -> None:
    text = to_latex(summary)
    lines = text.splitlines()
    assert lines[0] == r"% \usepackage{booktabs}"
    assert r"\begin{tabular}{lrrrrrr}" in lines
    assert r"Method & n & PSNR (dB) $\uparrow$ & SSIM $\uparrow$" in text
    assert r"control$|$net & 7 & 20.25 [19.25, 21.25] & 0.500" in text
    assert r"& $\infty$ \\" in text
    assert r"[95 \% interval]" in text
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == 2
    assert lines[-1] == "% - lookup, no prediction: sub-03"


def test_csv_is_read_back(summary: dict[str, Any]) -> None:
    rows = list(csv.reader(io.StringIO(to_csv_table(summary))))
    assert rows[0] == ["# In the brain"]
    assert rows[2][:3] == ["lookup", "7", "14.50 [13.50, 15.50]"]
    assert ["# Whole image"] in rows


def test_other_measures_have_tables_of_their_own(summary: dict[str, Any]) -> None:
    figure = {"mean": 0.9, "sd": 0.1, "ci95": (0.8, 1.0), "n": 7}
    summary["methods"]["lookup"]["brain"]["sharpness"] = figure
    summary["methods"]["lookup"]["lesion"] = {"psnr": figure | {"n": 3}, "contrast_kept": figure}
    text = to_markdown(summary)
    assert "## Texture and tissue in the brain\n\n| Method | n | Sharpness → 1 |" in text
    assert "| lookup | 7 | 0.90 [0.80, 1.00] |" in text
    assert "## In the lesions" in text
    assert "| Method | n | Contrast kept → 1 |" in text


@pytest.mark.parametrize(("subjects", "words"), [(4, "at least 5 subjects"), (7, "| 7 |")])
def test_paired_tests_are_shown_or_refused(
    summary: dict[str, Any], subjects: int, words: str
) -> None:
    rows = [
        Row(f"sub-{i}", f"sub-{i}", method, "brain", 1, 0.0, 1.0, {"psnr": gain * i, "mae": 0.1})
        for i in range(1, subjects + 1)
        for method, gain in (("a", 1.0), ("b", 2.0))
    ]
    summary["tests"] = compare_methods(rows, METRICS)
    part = to_markdown(summary).split("## Paired tests in the brain")[1]
    assert words in part
    assert ("| a | b | PSNR | 7 | -4.00 [" in part) == (subjects == 7)
