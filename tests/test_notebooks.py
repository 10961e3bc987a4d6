"""The notebooks: stored bare, no functions; and (slow) they run from the first cell to the last."""

import ast
import json
from pathlib import Path

import pytest

from mrcontrast.config.build import compose

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def code_of(path: Path) -> list[str]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def test_there_are_three():
    names = [path.stem for path in NOTEBOOKS]
    assert names == ["01_quickstart", "02_your_own_bids_data", "03_reading_the_evaluation"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_stored_without_output(path):
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_defines_no_function_and_every_cell_parses(path):
    defining = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda
    for source in code_of(path):
        found = [node for node in ast.walk(ast.parse(source)) if isinstance(node, defining)]
        assert not found, source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_it_imports_of_ours_is_there(path):
    from importlib import import_module

    for source in code_of(path):
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("mrcontrast"):
                module = import_module(str(node.module))
                assert all(hasattr(module, name.name) for name in node.names), source


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outputs")


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(path, outputs, monkeypatch):
    import nbformat
    from nbclient import NotebookClient

    settings = {"OUTPUTS": str(outputs), "NOTEBOOK_STUDY": "smoke", "NOTEBOOK_STEPS": "4"}
    for name, value in settings.items():
        monkeypatch.setenv(f"MRCONTRAST_{name}", value)
    monkeypatch.delenv("MRCONTRAST_NOTEBOOK_BIDS", raising=False)
    if path.stem.startswith("03"):  # it reads what the first has made
        from mrcontrast.study.command import study

        assert study(compose("study", ["study=smoke", f"paths.outputs={outputs}"])) == 0
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(outputs)}})
    client.execute()
    last = [cell for cell in notebook.cells if cell.cell_type == "code"][-1]
    assert last.outputs, "the last cell shows something"
