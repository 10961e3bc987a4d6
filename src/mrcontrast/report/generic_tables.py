"""Lay out nested plain values as tables, for results without a layout of their own."""

from collections.abc import Mapping
from typing import Any, NamedTuple

ABSENT, INFINITE = "–", "∞"
LONG_TEXT = 60  # characters; a longer text is a note and no cell
ABBREVIATIONS = {"csf", "gm", "wm", "fid", "kid", "mmd", "mae", "rmse", "psnr", "ssim", "ms"}
SPLIT_BY = "region"  # a list of results that name a region is a table for each


class Cell(NamedTuple):
    """Text of a cell; a number is right-aligned and has its interval next to it."""

    text: str
    is_number: bool = True
    detail: str = ""


class Table(NamedTuple):
    """A table of a page: title, headings and rows of cells; without rows only a note."""

    title: str
    columns: list[str]
    rows: list[list[Cell]]
    note: str = ""

    @property
    def numeric(self) -> list[bool]:
        """Whether each column holds numbers, and is right-aligned."""
        columns = zip(*self.rows, strict=True)
        return [any(cell.is_number and cell.text != ABSENT for cell in each) for each in columns]


def nested_tables(value: Any, title: str) -> list[Table]:  # noqa: ANN401 - any nest of JSON
    """Lay out any nest of plain values as tables.

    A list of dicts, or a dict of similar dicts, is one table with a row for each; deeper levels
    follow under a longer title. Long texts become notes; empty values are left out.
    """
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        return _listed(value, title)
    if not isinstance(value, dict):
        return [] if _is_empty(value) else [Table(title, [], [[format_cell(value)]])]
    known = {key: item for key, item in value.items() if not _is_empty(item)}
    notes = [item for item in known.values() if _is_long(item)]
    flat = {key: item for key, item in known.items() if _is_plain(item) and not _is_long(item)}
    nests = {key: item for key, item in known.items() if not _is_plain(item)}
    rows = [[Cell(words(key), is_number=False), format_cell(item)] for key, item in flat.items()]
    tables = [Table(title, [], rows, " ".join(notes))] if rows or notes else []
    if not _are_alike(nests):
        for key, item in nests.items():
            tables += nested_tables(item, _join(title, key))
        return tables
    tables.append(_matrix(title, nests, with_names=True))
    for name, item in nests.items():
        for key, inner in item.items():
            if not _is_row(inner):
                tables += nested_tables(inner, _join(_join(title, name), key))
    return tables


def format_cell(value: Any) -> Cell:  # noqa: ANN401 - any value of JSON
    """Format one plain value, or a mean with its interval.

    Example:
        >>> format_cell(0.000125).text, format_cell([0.5, 1.25]).text, format_cell(None).text
        ('0.000125', '[0.5, 1.25]', '–')
        >>> format_cell({"mean": 1.25, "ci95": [1, 2], "n": 5})
        Cell(text='1.25', is_number=True, detail='[1, 2]')
    """
    if value is None:
        return Cell(ABSENT)
    if isinstance(value, bool):
        return Cell("yes" if value else "no", is_number=False)
    if isinstance(value, int | float):
        return Cell(signed(f"{value:.4g}" if isinstance(value, float) else str(value)))
    if value == []:
        return Cell("none", is_number=False)
    if isinstance(value, list):
        cells = [format_cell(item) for item in value]
        numbers = all(cell.is_number for cell in cells)
        text = ", ".join(cell.text for cell in cells)
        return Cell(f"[{text}]" if numbers else text, numbers)
    if _is_statistic(value):
        interval = value.get("ci95")
        detail = "" if interval is None else format_cell(interval).text
        return Cell(format_cell(value["mean"]).text, detail=detail)
    return Cell(str(value), is_number=False)


def words(name: str) -> str:
    """Return a key as words.

    >>> words("nearest_neighbour"), words("gm_ml")
    ('nearest neighbour', 'GM ml')
    """
    parts = str(name).split("_")
    return " ".join(part.upper() if part in ABBREVIATIONS else part for part in parts)


def signed(text: str) -> str:
    """Return numbers with a minus sign that is as wide as a plus."""
    return text.replace("-", "−")


def _listed(items: list[dict[str, Any]], title: str) -> list[Table]:
    """Return a table of results, or one for each of their regions."""
    if not all(SPLIT_BY in item for item in items):
        return [_matrix(title, dict(enumerate(items)), with_names=False)]
    parts: dict[Any, list[dict[str, Any]]] = {}
    for item in items:
        rest = {key: value for key, value in item.items() if key != SPLIT_BY}
        parts.setdefault(item[SPLIT_BY], []).append(rest)
    return [
        _matrix(_join(title, region), dict(enumerate(own)), with_names=False)
        for region, own in parts.items()
    ]


def _matrix(title: str, items: Mapping[Any, dict[str, Any]], with_names: bool) -> Table:
    """Return a table with one row a dict; short dicts inside become columns of their own."""
    deep = {key for item in items.values() for key, value in item.items() if not _is_row(value)}
    flat = {
        name: _flatten({key: value for key, value in item.items() if key not in deep})
        for name, item in items.items()
    }
    columns = list(dict.fromkeys(key for row in flat.values() for key in row))
    rows = [
        [Cell(str(name), is_number=False)] * with_names
        + [format_cell(row.get(key)) for key in columns]
        for name, row in flat.items()
    ]
    return Table(title, [""] * with_names + columns, rows)


def _flatten(item: dict[str, Any]) -> dict[str, Any]:
    """Return the plain values of a dict and of the short dicts in it, by their words."""
    row: dict[str, Any] = {}
    for key, value in item.items():
        if _is_plain(value):
            row[words(key)] = value
        elif _is_row(value):
            row |= {f"{words(key)} {name}": inner for name, inner in _flatten(value).items()}
    return row


def _are_alike(nests: Mapping[str, Any]) -> bool:
    """Return whether dicts are rows of one table: several, with a common key and no long text."""
    if len(nests) < 2 or not all(isinstance(item, dict) for item in nests.values()):
        return False
    common = set.intersection(*(set(item) for item in nests.values()))
    return bool(common) and not any(_is_long(v) for item in nests.values() for v in item.values())


def _is_row(value: Any) -> bool:  # noqa: ANN401
    """Return whether a value fits into a row: plain, or a dict of plain values."""
    return _is_plain(value) or (
        isinstance(value, dict)
        and all(_is_plain(item) and not _is_long(item) for item in value.values())
    )


def _is_plain(value: Any) -> bool:  # noqa: ANN401
    """Return whether a value fits into one cell."""
    if isinstance(value, list):
        return not any(isinstance(item, dict | list) for item in value)
    return not isinstance(value, dict) or _is_statistic(value)


def _is_statistic(value: Any) -> bool:  # noqa: ANN401
    """Return whether a value is a mean with its interval or deviation."""
    return isinstance(value, dict) and "mean" in value and bool({"ci95", "sd"} & value.keys())


def _is_long(value: Any) -> bool:  # noqa: ANN401
    """Return whether a value is a text for a paragraph."""
    return isinstance(value, str) and len(value) > LONG_TEXT and " " in value


def _is_empty(value: Any) -> bool:  # noqa: ANN401
    return value is None or value == {} or value == []


def _join(title: str, key: Any) -> str:  # noqa: ANN401
    """Return a longer title."""
    return " · ".join(filter(None, (title, words(key))))
