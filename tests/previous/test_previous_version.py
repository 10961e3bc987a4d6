"""Runs and data sets of earlier versions load and give the same voxels; see README.md here.

The tests use the commands alone, by their names and options, so that modules may move.
"""

import json
import re
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mrcontrast.cli import main
from previous.fixture_data import refill, run, summary, translate, write_native

SETS = sorted(Path(__file__).parent.glob("fixtures/*"))
TOLERANCE = 1e-5  # of intensities in about [0, 1]; CPUs round differently
AFTER_STEPS = 1e-4  # after further steps of training
SLOW = re.compile(r"tiles|phantom-.*/controlnet|phantom-2d-1mm/autoencoder|on_phantom-.*")  # > 5 s
FILES = {"config.yaml", "provenance.json", "weights.safetensors"}


@cache
def goldens(fixtures: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((fixtures / "goldens.json").read_text())
    return found


def cases(kind: str) -> list:
    """Return all cases of one kind with their sets; long ones are marked slow."""
    return [
        pytest.param(
            fixtures,
            name,
            id=f"{fixtures.name}-{name}",
            marks=[pytest.mark.slow] if SLOW.fullmatch(name) else [],
        )
        for fixtures in SETS
        for name in goldens(fixtures)[kind]
    ]


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("native")
    write_native(folder)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a function of a set and a name to the prepared data set, with volumes in it."""
    folder = tmp_path_factory.mktemp("data")

    @cache
    def filled(fixtures: Path, name: str) -> Path:
        return refill(fixtures / "data" / name, folder / f"{fixtures.name}_{name}")

    return filled


def check(path: Path, expected: dict[str, Any], tolerance: float = TOLERANCE) -> None:
    found = summary(path)
    assert found["shape"] == expected["shape"]
    for key in ("mean", "std", "voxels"):
        np.testing.assert_allclose(found[key], expected[key], rtol=0, atol=tolerance, err_msg=key)


def check_translation(
    case: dict[str, Any], model: str, native: Path, out: Path, tolerance: float = TOLERANCE
) -> None:
    paths = translate(model, native, case["volume"], case["options"], out)
    for path, expected in zip(paths, case["expected"], strict=True):
        check(path, expected, tolerance)


def model_of(fixtures: Path, name: str) -> str:
    """Return a run of a set, or the name of a packaged model."""
    return name if "/" in name else str(fixtures / "runs" / name)


def at_fixtures(fixtures: Path, overrides: list[str]) -> list[str]:
    """Replace the paths of runs in overrides by those of a set."""
    return [text.replace("=outputs/runs/", f"={fixtures}/runs/") for text in overrides]


def train(
    fixtures: Path, outputs: Path, name: str, data: Path, overrides: list[str]
) -> dict[str, Any]:
    """Train and return the provenance."""
    places = [f"paths.outputs={outputs}", f"name={name}", f"data.root={data}"]
    run("train", *at_fixtures(fixtures, overrides), *places)
    found: dict[str, Any] = json.loads((outputs / "runs" / name / "provenance.json").read_text())
    return found


def check_origin(found: dict[str, Any], expected: dict[str, Any]) -> None:
    start = found["start_from"]
    assert (start and start["weights_sha256"]) == expected["start_from"]
    for key in ("parents", "data_hash", "split_hash"):
        assert found[key] == expected[key], key
    assert found["data"] == found["data"] | expected["data"]  # later versions add contrasts


def test_there_are_fixtures_of_every_stage() -> None:
    assert [path.name for path in SETS][:1] == ["181b4aa"]
    for fixtures in SETS:
        runs = {path.name for path in (fixtures / "runs").iterdir()}
        assert len(runs) >= 25
        for name in runs:
            assert {path.name for path in (fixtures / "runs" / name).iterdir()} == FILES
        used = {case["run"] for case in goldens(fixtures)["translations"].values()}
        text = json.dumps(goldens(fixtures)["starts"])
        begun = set(re.findall(r"=outputs/runs/(\w+)", text))
        assert runs <= used | begun


def test_the_goldens_differ_from_run_to_run() -> None:
    """A golden that does not depend on the weights would prove nothing."""
    for fixtures in SETS:
        found = goldens(fixtures)["translations"] | goldens(fixtures)["starts"]
        seen: dict[str, list[float]] = {}
        for name, case in found.items():
            if name.startswith("from_") or "expected" not in case:
                continue  # equal to the run that it starts from
            first = case["expected"][0]
            assert first["std"] > 0.01, name
            for other, voxels in seen.items():
                assert np.abs(np.subtract(voxels, first["voxels"])).max() > 1e-3, (name, other)
            seen[name] = first["voxels"]


def test_the_goldens_depend_on_the_source_image() -> None:
    for fixtures in SETS:
        found = goldens(fixtures)["translations"]
        others = [name for name in found if name.startswith("other_")]
        assert len(others) >= 9
        for name in others:
            pair = (found[key]["expected"][0]["voxels"] for key in (name, name[len("other_") :]))
            assert np.abs(np.subtract(*pair)).max() > 0.05, name


@pytest.mark.parametrize(("fixtures", "name"), cases("translations"))
def test_a_run_gives_the_same_voxels(
    fixtures: Path, name: str, native: Path, tmp_path: Path
) -> None:
    case = goldens(fixtures)["translations"][name]
    check_translation(case, model_of(fixtures, case["run"]), native, tmp_path)


@pytest.mark.parametrize(("fixtures", "name"), cases("prepared"))
def test_a_run_translates_a_prepared_data_set(
    fixtures: Path, name: str, data: Any, tmp_path: Path
) -> None:
    model = model_of(fixtures, name)
    words = [str(data(fixtures, "phantom")), str(tmp_path), "--model", model, "--device", "cpu"]
    run("translate", *words)
    expected = goldens(fixtures)["prepared"][name]
    assert {path.name for path in tmp_path.glob("*_T1w.nii.gz")} == set(expected)
    for file, values in expected.items():
        check(tmp_path / file, values)


@pytest.mark.parametrize(("fixtures", "name"), cases("starts"))
def test_a_training_begins_with_the_weights_of_earlier_runs(
    fixtures: Path, name: str, data: Any, native: Path, tmp_path: Path
) -> None:
    case = goldens(fixtures)["starts"][name]
    found = train(fixtures, tmp_path, name, data(fixtures, "phantom"), case["overrides"])
    check_origin(found, case["origin"])
    assert found["score"]["value"] == pytest.approx(case["score"], rel=1e-4)
    if "expected" in case:
        check_translation(case, str(tmp_path / "runs" / name), native, tmp_path)


@pytest.mark.parametrize("fixtures", SETS, ids=lambda path: path.name)
def test_an_interrupted_training_goes_on(
    fixtures: Path,
    data: Any,
    native: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    case = goldens(fixtures)["interrupted"]["controlnet"]
    folder = tmp_path / "runs" / "interrupted"
    shutil.copytree(fixtures / "interrupted", folder)
    then = "data.items.min_brain_fraction=0.05"  # its default then
    overrides = [*case["overrides"], then]
    found = train(fixtures, tmp_path, "interrupted", data(fixtures, "phantom"), overrides)
    said = "".join(capsys.readouterr())
    assert re.search(r" step (?!0)\d+ to 12", said)
    assert found["steps"] == case["steps"]
    check_origin(found, case["origin"])
    check_translation(case, str(folder), native, tmp_path, AFTER_STEPS)


@pytest.mark.parametrize("fixtures", SETS, ids=lambda path: path.name)
def test_an_interrupted_training_is_refused_with_another_config(
    fixtures: Path, data: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(fixtures / "interrupted", tmp_path / "runs" / "interrupted")
    overrides = at_fixtures(fixtures, goldens(fixtures)["interrupted"]["controlnet"]["overrides"])
    places = [f"paths.outputs={tmp_path}", "name=interrupted"]
    places += [f"data.root={data(fixtures, 'phantom')}"]
    assert main(["train", *overrides, *places, "seed=3"]) == 1
    assert "seed=3 where it has 0" in capsys.readouterr().err


@pytest.mark.parametrize(("fixtures", "name"), cases("data"))
def test_a_prepared_data_set_is_read_the_same(
    fixtures: Path, name: str, data: Any, tmp_path: Path
) -> None:
    case = goldens(fixtures)["data"][name]
    root = data(fixtures, name)
    found = train(fixtures, tmp_path, name, root, case["overrides"])
    check_origin(found, case["origin"])
    for split, expected in case["translated"].items():
        out = tmp_path / split
        words = [str(root), str(out), "--split", split, "--device", "cpu"]
        run("translate", *words, "--model", str(tmp_path / "runs" / name))
        assert {path.name for path in out.glob("*_T1w.nii.gz")} == set(expected)
        for file, values in expected.items():
            check(out / file, values)


@pytest.mark.parametrize("fixtures", SETS, ids=lambda path: path.name)
def test_a_data_set_of_an_earlier_recipe_is_not_replaced(
    fixtures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = refill(fixtures / "data" / "phantom", tmp_path / "phantom")
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert main(["prepare", *goldens(fixtures)["prepare"]["phantom"], f"out={root}"]) == 2
    assert "got a data set of another recipe" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before
