"""Code has roles, source and target; few modules know a contrast by name."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src" / "mrcontrast"
CONTRAST = re.compile(r"flair|t1w", re.IGNORECASE)
EXAMPLE = re.compile(r"(?ms)^\s*>>>.*?(?:\n\s*\n|\Z)|``[^`]*``|\"[^\"]*\"|'[^'\s]*'")
# Modules that are about these contrasts, and why.
ALLOWED = {
    "data/contrasts.py": "the table of names",
    "data/image_kinds.py": "file names of images after contrast agent",
    "config/moved.py": "the roles of earlier versions",
    "config/option_names.py": "earlier names of options",
    "preparation/old_recipes.py": "earlier names of keys",
    "stages/contract.py": "defaults",
    "networks/regressor.py": "defaults",
    "preparation/subject.py": "defaults",
    "preparation/operators/registration.py": "defaults",
    "preparation/operators/intensity.py": "a network that was trained on T1w",
    "preparation/folders.py": "an example in a message",
    "api/phantoms.py": "defaults",
    "phantom/config.py": "physics",
    "phantom/physics.py": "physics",
    "phantom/protocol.py": "physics",
    "phantom/subject.py": "physics",
    "imaging/tissue_classes.py": "a segmentation of T1w",
    "imaging/skull_strip.py": "a network that was trained on T1w",
    "imaging/registration.py": "a template of T1w",
    "transforms/standardise.py": "white matter of T1w and FLAIR",
    "evaluation/metric_list.py": "metrics that hold for T1w",
    "evaluation/condition.py": "a check that holds for T1w",
}


def words_of(tree: ast.Module) -> Iterator[str]:
    """Yield identifiers, strings and docstrings, the latter without examples."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = set()
    for node in ast.walk(tree):
        if isinstance(node, documented) and (text := ast.get_docstring(node, clean=False)):
            docstrings.add(id(node.body[0].value))  # type: ignore[attr-defined]
            yield EXAMPLE.sub("", text)
        text = node.value if isinstance(node, ast.Constant) else None
        if isinstance(text, str) and id(node) not in docstrings:
            yield text
        for field in ("id", "attr", "arg", "name", "asname"):
            if isinstance(word := getattr(node, field, None), str):
                yield word


@pytest.mark.parametrize("path", sorted(SRC.rglob("*.py")), ids=lambda path: str(path.name))
def test_only_listed_modules_know_a_contrast(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = sorted({word for word in words_of(tree) if CONTRAST.search(word)})
    listed = str(path.relative_to(SRC)) in ALLOWED
    assert bool(found) == listed, f"{path.relative_to(SRC)}: {[word[:80] for word in found]}"


def test_the_list_is_short() -> None:
    assert len(ALLOWED) <= 22
    assert all((SRC / name).is_file() for name in ALLOWED)
