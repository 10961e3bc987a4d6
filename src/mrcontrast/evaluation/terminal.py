"""The tables of an evaluation on a terminal of any width."""

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.table import Table
from rich.text import Text

from mrcontrast.evaluation.sheets import Sheet
from mrcontrast.evaluation.table import caption, left_out, tables_of

BORDER = 3  # characters of a column in addition to its text


@dataclass(frozen=True)
class Fitted:
    """A table with a caption that wraps intervals, then splits, until it fits the terminal."""

    sheet: Sheet
    caption: str

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        """Yield one table, or several with the same rows; the last has the caption.

        A table that needs its headings wrapped gets fixed widths, since rich would cut its last
        column.
        """
        sheet, width = self.sheet, options.max_width
        if sum(column_widths(sheet)) + 1 > width:
            rows = [[cell.replace(" [", "\n[", 1) for cell in row] for row in sheet.rows]
            sheet = replace(sheet, rows=rows)
        parts = list(split(sheet, width))
        for part in parts:
            roomy = unwrapped_width(part) <= width
            table = Table(title_justify="left", caption_justify="left")
            table.title = Text(sheet.title) if part is parts[0] else None
            table.caption = Text(self.caption) if part is parts[-1] else None
            for index, (column, needed) in enumerate(
                zip(part.columns, column_widths(part), strict=True)
            ):
                table.add_column(
                    column,
                    justify="left" if index < part.text_columns else "right",
                    width=None if roomy else needed - BORDER,
                )
            for row in part.rows:
                table.add_row(*map(Text, row))
            yield table


def to_rich(summary: Mapping[str, Any], titles: Container[str] | None = None) -> Group:
    """Return the tables with these titles, or all, to print with a ``rich`` console."""
    sheets = [sheet for sheet in tables_of(summary) if titles is None or sheet.title in titles]
    shown: list[RenderableType] = []
    for sheet in sheets:
        notes = " ".join(sheet.notes)
        filled = Fitted(sheet, notes or caption(summary))
        shown.append(filled if sheet.rows else Text(f"{sheet.title}: {notes}"))
    return Group(*shown, *(Text(f"- {line}") for line in left_out(summary)))


def split(sheet: Sheet, width: int) -> Iterator[Sheet]:
    """Yield a table in parts of whole columns, of at most ``width`` characters.

    Each part repeats the text columns, and "n" after them, and has at least one column of numbers.
    """
    widths = column_widths(sheet)
    named = sheet.text_columns + (sheet.columns[sheet.text_columns :][:1] == ["n"])
    part = list(range(named))
    for index in range(named, len(sheet.columns)):
        if len(part) > named and sum(widths[i] for i in (*part, index)) + 1 > width:
            yield _columns(sheet, part)
            part = list(range(named))
        part.append(index)
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
