"""An evaluation of six subjects by two methods, one of them with uncertainty maps."""

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from mrcontrast.cli import main
from mrcontrast.commands.evaluate import evaluate
from mrcontrast.data.manifest import Manifest
from mrcontrast.data.predictions import PredictionFiles
from mrcontrast.storage.volume import Volume, read_volume, write_volume

SIDECAR = {
    "Stage": "controlnet",
    "WeightsSHA256": "ab" * 32,
    "Sampler": "EulerFlow",
    "Steps": 6,
    "Samples": 4,
    "Seed": 7,
    "GeneratedBy": [{"Name": "mrcontrast", "Version": "0.1.0"}],
}


@pytest.fixture(scope="session")
def evaluated(prepared_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of an evaluation beside its predictions; later subjects have more noise."""
    study = tmp_path_factory.mktemp("study")
    rng = np.random.default_rng(0)
    for number, record in enumerate(Manifest.read(prepared_root).records, start=1):
        real = read_volume(record.images["t1w"])
        name = f"{record.name}_desc-synth_T1w.nii.gz"
        smooth = ndimage.gaussian_filter(real.data, 1.0)
        write_volume(study / "predictions" / "smooth" / name, Volume(smooth, real.affine))
        spread = np.where(real.data > 0, 0.02 * number, 0).astype(np.float32)
        noise = rng.standard_normal(real.shape).astype(np.float32) * spread
        files = PredictionFiles(study / "predictions" / "draws" / name)
        mean = Volume(np.clip(real.data + noise, 0, 1), real.affine)
        files.write(mean, Volume(spread, real.affine), SIDECAR, record.images["t1w"])
    predictions = {name: study / "predictions" / name for name in ("smooth", "draws")}
    evaluate(predictions, prepared_root, study / "evaluation")
    return study / "evaluation"


@pytest.fixture(scope="session")
def foreign(prepared_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of an evaluation of another system's output: two flat folders in scanner units."""
    root = tmp_path_factory.mktemp("foreign")
    for number, record in enumerate(Manifest.read(prepared_root).records[:3]):
        real = read_volume(record.images["t1w"])
        write_volume(root / "real" / f"case{number}.nii.gz", Volume(900 * real.data, real.affine))
        theirs = Volume(810 * real.data, real.affine)
        write_volume(root / "theirs" / f"case{number}.nii.gz", theirs)
    out = root / "scores"
    folders = ["--predictions", f"{root / 'theirs'}", "--references", f"{root / 'real'}"]
    assert main(["evaluate", *folders, "--range", "reference", "--out", f"{out}"]) == 0
    return out
