"""What holds for the source of every stage."""

import ast
from pathlib import Path

import pytest

import mrcontrast

PACKAGE = Path(mrcontrast.__file__).parent
SOURCES = sorted((PACKAGE / "stages").glob("*.py"))


def logged_in_validation(source: str) -> list[ast.Call]:
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [
        call
        for call in calls
        if ast.unparse(call.func) in ("self.log", "self.log_dict")
        and any("val/" in ast.unparse(argument) for argument in call.args)
    ]


def of_one_process(source: str) -> list[str]:
    wanted = "sync_dist=True"
    found = logged_in_validation(source)
    return [text for text in map(ast.unparse, found) if wanted not in text]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_scores_are_those_of_all_processes(path: Path) -> None:
    assert of_one_process(path.read_text()) == []


def test_a_score_of_one_process_is_found() -> None:
    assert len(of_one_process("self.log('val/loss', loss, batch_size=size)")) == 1
    found = [call for path in SOURCES for call in logged_in_validation(path.read_text())]
    assert len(found) >= 4
