"""Distances of sets: whose vectors belong together, and what is known of very few."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mrcontrast.commands.evaluate import evaluate
from mrcontrast.data.manifest import Manifest
from mrcontrast.evaluation import comparison
from mrcontrast.evaluation.feature_scores import compare_sets
from mrcontrast.evaluation.sheets import sheets_of
from mrcontrast.storage.volume import Volume, read_volume, write_volume


def distances(names: list[str], vectors: int = 4) -> dict[str, Any]:
    """Compare random features, the same for as many sessions, whatever their names."""
    rng = np.random.default_rng(0)
    sets = [{name: rng.standard_normal((vectors, 6)) for name in names} for _ in range(2)]
    extractor = SimpleNamespace(describe=lambda: {"name": "net"})
    found = compare_sets(SimpleNamespace(extractor=extractor), sets[0], {"ours": sets[1]})  # type: ignore[arg-type]
    return {key.split("_")[0]: value for key, value in found["methods"]["ours"].items()}


def test_sessions_of_one_subject_are_left_out_together() -> None:
    names = [f"sub-{n}" for n in range(12)]
    together = [f"sub-{n}_ses-{s}" for n in range(6) for s in (1, 2)]
    found = [distances(each, vectors=2) for each in (names, together)]
    joined = distances([f"sub-{n}" for n in range(6)], vectors=4)
    for name in ("kid", "mmd"):
        apart, of_six, plain = (each[name] for each in (*found, joined))
        assert of_six["value"] == pytest.approx(plain["value"])
        assert of_six["ci95"] == pytest.approx(plain["ci95"])
        assert of_six["value"] != pytest.approx(apart["value"], rel=1e-3)
    assert distances(["sub-1_ses-1", "sub-1_ses-2"])["kid"]["value"] is None


@pytest.mark.parametrize("sessions", [1, 4, 5])
def test_a_vector_a_session_and_few_sessions(sessions: int) -> None:
    """A 3D network gives one vector a volume."""
    found = distances([f"sub-{n}" for n in range(sessions)], vectors=1)
    for name in ("kid", "mmd"):
        assert (found[name]["value"] is None) == (sessions == 1)
        assert (found[name]["ci95"] is None) == (sessions < 5)
        assert found[name]["refused"] is None
    json.dumps(found, allow_nan=False)
    sheet = next(
        sheet
        for sheet in sheets_of({"methods": {}, "features": {"methods": {"ours": found}}})
        if sheet.title.startswith("Feature distances")
    )
    assert (sheet.rows[0][2] == "n/a") == (sessions == 1)
    assert sheet.rows[2][1].startswith("FID, biased upwards (")
    assert sheet.rows[2][2] == "refused"


def test_figures_of_subjects_outlive_a_fault_of_the_sets(
    prepared_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when memory runs out; an earlier summary, of other rows, does not stay beside them."""
    for record in Manifest.read(prepared_root).split("test"):
        real = read_volume(record.images["t1w"])
        path = tmp_path / "ours" / f"{record.name}.nii.gz"
        write_volume(path, Volume(real.data * np.float32(0.9), real.affine))
    evaluate({"ours": tmp_path / "ours"}, prepared_root, out := tmp_path / "out")
    (out / "subjects.csv").unlink()

    def fails(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(comparison, "measure_diversity", fails)
    with pytest.raises(MemoryError):
        evaluate({"ours": tmp_path / "ours"}, prepared_root, out)
    assert [path.name for path in out.iterdir()] == ["subjects.csv"]
