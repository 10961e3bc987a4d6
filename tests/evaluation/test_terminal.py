"""Tables stay legible on terminals of any width."""

import io

import pytest
from rich.console import Console

from mrcontrast.evaluation.sheets import Sheet
from mrcontrast.evaluation.terminal import Fitted, column_widths, split

COLUMNS = ["Method", "n", "PSNR (dB) ↑", "SSIM ↑", "MAE ↓"]
ROW = ["controlnet_shuffled", "4", "17.05 [16.91, 17.26]", "0.799 [0.789, 0.814]", "0.107"]
SHEET = Sheet("In the brain", COLUMNS, [ROW])


def printed(width: int) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(Fitted(SHEET, "mean [interval]"))
    return console.export_text()


@pytest.mark.parametrize("width", [200, 80, 60, 45])
def test_no_figure_is_cut_or_broken(width: int) -> None:
    text = printed(width)
    for figure in ("17.05", "[16.91, 17.26]", "0.799", "[0.789, 0.814]", "0.107"):
        assert text.count(figure) == 1
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    assert text.count("In the brain") == text.count("mean [interval]") == 1


def test_headings_wrap_before_a_column_is_cut() -> None:
    columns = ["Method", "Parameters", "Calls", "s a volume", "Memory (GiB)", "Training (min)"]
    row = ["controlnet_trained_on", "7,172,828", "12", "210.73", "0.22", "121.7"]
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(Fitted(Sheet("Costs", columns, [row]), "Training: of all that it was built on."))
    lines = [line.rstrip() for line in console.export_text().splitlines()]
    assert any(line.endswith("121.7 │") for line in lines)
    assert "Training: of all that it was built on." in lines


def test_intervals_stay_on_the_line_where_there_is_room() -> None:
    assert "17.05 [16.91, 17.26]" in printed(200)
    assert "17.05 [16.91, 17.26]" not in printed(80)


def test_parts_repeat_who_and_how_many() -> None:
    parts = list(split(SHEET, width=48))
    assert [part.columns for part in parts] == [
        ["Method", "n", "PSNR (dB) ↑"],
        ["Method", "n", "SSIM ↑"],
        ["Method", "n", "MAE ↓"],
    ]
    assert all(part.rows[0][:2] == ROW[:2] for part in parts)


def test_widths_take_words_of_headings_and_whole_figures() -> None:
    assert column_widths(SHEET) == [22, 4, 23, 23, 8]
