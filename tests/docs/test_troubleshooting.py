"""Each error line of the documents is one that the code can say."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAD = "mrcontrast: error: "
SHORTEST = 30  # characters of fixed text that a message must have to count


def quoted() -> list[tuple[str, str]]:
    """Return the error lines of all pages with their page."""
    return [
        (page.name, line.split(HEAD, 1)[1])
        for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
        for line in page.read_text(encoding="utf-8").splitlines()
        if line.startswith(f"    {HEAD}")
    ]


def pattern_of(node: ast.AST) -> str:
    """Return a regular expression for what a string or f-string of the code can become."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.escape(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(pattern_of(part) for part in node.values)
    return "(?:.*)"


def fixed_text(node: ast.AST) -> int:
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    return sum(len(part.value) for part in parts if is_text(part))


def is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


@pytest.fixture(scope="module")
def messages() -> list[re.Pattern]:
    """All messages of the code that say what was expected."""
    found = set()
    for path in (ROOT / "src" / "mrcontrast").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (is_text(node) or isinstance(node, ast.JoinedStr)) and fixed_text(node) >= SHORTEST:
                pattern = pattern_of(node)
                if pattern.startswith("Expected"):
                    found.add(pattern)
    return [re.compile(pattern) for pattern in sorted(found)]


def test_lines_and_messages_are_found(messages):
    assert len(quoted()) > 20
    assert len(messages) > 100
    assert not any(message.fullmatch("Expected a moon, got none.") for message in messages)


@pytest.mark.parametrize(("page", "line"), quoted(), ids=lambda text: text[:50])
def test_the_program_says_so(page, line, messages):
    named = re.sub(r" \([^()]*\)$", "", line)  # translate adds the file to a volume's own message
    assert any(m.fullmatch(line) or m.fullmatch(named) for m in messages), line
