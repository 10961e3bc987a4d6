"""Files, functions and lists of arguments stay small, in all of the source."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "mrcontrast"
LINES_OF_FILE, LINES_OF_FUNCTION, ARGUMENTS = 250, 45, 8
FILES = sorted(SOURCE.rglob("*.py"))
ONE_A_KEY = {"data/datamodule.py"}  # its constructor has one argument a key of configs/data


def faults(name: str, text: str) -> list[str]:
    """Return the files, functions and argument lists of a module that are too long."""
    found = []
    if (count := len(text.splitlines())) > LINES_OF_FILE:
        found.append(f"{name}: {count} lines")
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        length = node.end_lineno - node.lineno + 1
        first = node.body[0]
        if isinstance(first, ast.Expr) and ast.get_docstring(node) is not None:
            length -= first.end_lineno - first.lineno + 1
        given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        arguments = [each.arg for each in given if each.arg not in ("self", "cls")]
        if length > LINES_OF_FUNCTION:
            found.append(f"{name}: {node.name} has {length} lines")
        if len(arguments) > ARGUMENTS and not (name in ONE_A_KEY and node.name == "__init__"):
            found.append(f"{name}: {node.name} has {len(arguments)} arguments")
    return found


def test_what_is_too_long_is_found() -> None:
    body = "\n".join(["    x = 1"] * LINES_OF_FUNCTION)
    long = f"def f(a, b, c, d, e, f, g, h, i):\n{body}\n"
    assert faults("m", long) == ["m: f has 46 lines", "m: f has 9 arguments"]
    doc = 'def f(self):\n    """Text\n' + "\n".join(["    of a docstring."] * 60) + '\n    """\n'
    assert faults("m", doc) == []
    assert faults("m", "\n" * (LINES_OF_FILE + 1)) == ["m: 251 lines"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_sizes(path: Path) -> None:
    assert faults(str(path.relative_to(SOURCE)), path.read_text(encoding="utf-8")) == []
