"""The tables of an evaluation on a terminal of any width."""

from collections.abc import Container, Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.table import Table
from rich.text import Text

from mrcontrast.evaluation.sheets import Sheet
from mrcontrast.evaluation.table import caption, left_out, tables_of

BORDER = 3  # characters of a column in addition to its text


class Fitted:
    """A table that wraps intervals, then splits, until it fits the terminal.

    Args:
        sheet: The table.
        caption: Text below it.
    """

    def __init__(self, sheet: Sheet, caption: str) -> None:
        self.sheet = sheet
        self.caption = caption

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        """Yield one table, or several with the same rows."""
        sheet, width = self.sheet, options.max_width
        if sum(column_widths(sheet)) + 1 > width:
            sheet = replace(sheet, rows=[[_broken(cell) for cell in row] for row in sheet.rows])
        parts = list(split(sheet, width))
        for part in parts:
            roomy = unwrapped_width(part) <= width
            yield self.table(part, part is parts[0], part is parts[-1], roomy)

    def table(self, sheet: Sheet, first: bool, last: bool, roomy: bool) -> Table:
        """Return a table; the first has the title and the last the caption.

        A table that is not ``roomy`` gets fixed widths, since rich would cut its last column.
        """
        table = Table(title_justify="left", caption_justify="left")
        table.title = Text(sheet.title) if first else None
        table.caption = Text(self.caption) if last else None
        for index, (column, width) in enumerate(
            zip(sheet.columns, column_widths(sheet), strict=True)
        ):
            words = index < sheet.text_columns
            justify: Literal["left", "right"] = "left" if words else "right"
            table.add_column(column, justify=justify, width=None if roomy else width - BORDER)
        for row in sheet.rows:
            table.add_row(*map(Text, row))
        return table


def to_rich(summary: Mapping[str, Any], titles: Container[str] | None = None) -> Group:
    """Return the tables with these titles, or all, to print with a ``rich`` console."""
    sheets = [sheet for sheet in tables_of(summary) if titles is None or sheet.title in titles]
    lines = (Text(f"- {line}") for line in left_out(summary))
    return Group(*(shown(sheet, caption(summary)) for sheet in sheets), *lines)


def shown(sheet: Sheet, caption: str) -> RenderableType:
    """Return a table above its notes or else a caption; only the notes if it is empty."""
    notes = " ".join(sheet.notes)
    return Fitted(sheet, notes or caption) if sheet.rows else Text(f"{sheet.title}: {notes}")


def split(sheet: Sheet, width: int) -> Iterator[Sheet]:
    """Yield a table in parts of whole columns; each repeats the text columns.

    Args:
        sheet: Its text columns, and "n" after them, are repeated.
        width: Most characters of a part; one column of numbers is always shown.
    """
    widths = column_widths(sheet)
    named = sheet.text_columns + (sheet.columns[sheet.text_columns :][:1] == ["n"])
    kept = list(range(named))
    part, taken = list(kept), sum(widths[:named]) + 1
    for index in range(named, len(sheet.columns)):
        if len(part) > named and taken + widths[index] > width:
            yield _columns(sheet, part)
            part, taken = list(kept), sum(widths[:named]) + 1
        part.append(index)
        taken += widths[index]
    yield _columns(sheet, part)


def column_widths(sheet: Sheet) -> list[int]:
    """Return the characters that each column needs, border included.

    Headings and text columns after the first may wrap between words.
    """
    widths = []
    for index, heading in enumerate(sheet.columns):
        cells = [row[index] for row in sheet.rows]
        wraps = 0 < index < sheet.text_columns
        texts = [text for cell in cells for text in (cell.split() if wraps else cell.splitlines())]
        widths.append(BORDER + max(map(len, [*heading.split(), *texts]), default=0))
    return widths


def unwrapped_width(sheet: Sheet) -> int:
    """Return the width of a table without wrapping, in characters."""
    columns = zip(sheet.columns, *sheet.rows, strict=True)
    longest = [max(len(line) for cell in column for line in cell.split("\n")) for column in columns]
    return sum(BORDER + length for length in longest) + 1


def _columns(sheet: Sheet, indices: list[int]) -> Sheet:
    columns = [sheet.columns[index] for index in indices]
    return replace(sheet, columns=columns, rows=[[row[i] for i in indices] for row in sheet.rows])


def _broken(cell: str) -> str:
    """Put an interval on a line of its own."""
    return cell.replace(" [", "\n[", 1)
