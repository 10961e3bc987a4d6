"""Scores in Python are those of the command."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

import mrcontrast
from mrcontrast.cli import main
from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.storage.volume import Volume, read_volume, write_volume


@pytest.fixture
def predictions(prepared_root: Path, tmp_path: Path) -> Path:
    """Folder of darker copies of the held-out images of ``prepared_root``."""
    folder = tmp_path / "darker"
    for name in ("sub-05", "sub-06"):
        real = read_volume(prepared_root / name / "anat" / f"{name}_T1w.nii.gz")
        darker = Volume(0.5 * real.data, real.affine)
        write_volume(folder / f"{name}_desc-synth_T1w.nii.gz", darker)
    return folder


def test_folders_give_the_summary_of_the_command(
    prepared_root: Path, predictions: Path, tmp_path: Path
) -> None:
    out = tmp_path / "command"
    words = ["--predictions", str(predictions), "--references", str(prepared_root)]
    assert main(["evaluate", *words, "--out", str(out)]) == 0
    expected = json.loads((out / "summary.json").read_text())
    found = mrcontrast.evaluate(predictions, prepared_root, out=tmp_path / "python")
    assert json.loads(json.dumps(found)) == expected
    assert (tmp_path / "python" / "summary.md").read_text() == (out / "summary.md").read_text()


def test_images_give_the_scores_of_one_subject(prepared_root: Path, predictions: Path) -> None:
    stem = prepared_root / "sub-05" / "anat" / "sub-05"
    real, mask = Path(f"{stem}_T1w.nii.gz"), Path(f"{stem}_desc-brain_mask.nii.gz")
    made = predictions / "sub-05_desc-synth_T1w.nii.gz"
    scores = mrcontrast.evaluate(made, real, mask=mask)
    images = [nib.load(path) for path in (made, real, mask)]
    assert mrcontrast.evaluate(images[0], images[1], mask=images[2]) == scores
    arrays = [image.get_fdata(dtype=np.float32) for image in images]
    affine = images[0].affine
    assert mrcontrast.evaluate(*arrays[:2], mask=arrays[2], affine=affine) == scores
    inside = arrays[2] > 0.5
    rmse = np.sqrt(((arrays[0] - arrays[1])[inside].astype(float) ** 2).mean())
    assert scores["psnr"] == pytest.approx(-20 * np.log10(rmse))


def test_what_does_not_fit_is_refused(prepared_root: Path, predictions: Path) -> None:
    image = np.random.default_rng(0).uniform(0, 90, (16, 18, 20))
    with pytest.raises(UsageError, match=r"Expected references in \[0, 1\]"):
        mrcontrast.evaluate(image, image, mask=np.ones(image.shape))
    with pytest.raises(MrcontrastError, match=r"100% of its voxels non-zero \(reference\)"):
        mrcontrast.evaluate(image / 90, image / 90)
    with pytest.raises(UsageError, match="got ndarray beside a folder"):
        mrcontrast.evaluate(image, prepared_root)
    with pytest.raises(UsageError, match=r"got .*none beside a folder"):
        mrcontrast.evaluate(predictions / "none", prepared_root)
    with pytest.raises(MrcontrastError, match="on one grid"):
        mrcontrast.evaluate(image[:15] / 90, image / 90, mask=np.ones(image.shape))
