"""The examples of docs/python.md and of README are run in order, on a phantom."""

import re
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from mrcontrast.phantom import PhantomSubject
from mrcontrast.storage.volume import write_labels, write_volume

ROOT = Path(__file__).parents[2]
PAGES = ["docs/python.md", "README.md"]
FEWER = ("samples=8", "samples=2, steps=1")


def examples(page: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def write_subject(folder: Path, phantom: PhantomSubject) -> None:
    """Write sub-07 and the folders of the evaluation; the mask keeps a part of the brain."""
    stem = "sub-07"
    inside = np.zeros_like(phantom.brain_mask)
    inside[16:40, 20:48, 24:40] = phantom.brain_mask[16:40, 20:48, 24:40]
    for name, suffix in (("flair", "FLAIR"), ("t1w", "T1w")):
        write_volume(folder / f"{stem}_{suffix}.nii.gz", phantom.images[name])
    affine = phantom.images["t1w"].affine
    write_labels(folder / f"{stem}_desc-brain_mask.nii.gz", inside, affine)
    real = phantom.images["t1w"]
    scaled = type(real)(real.data / real.data.max(), real.affine)
    for kind in ("predictions", "references"):
        write_volume(folder / kind / f"{stem}_T1w.nii.gz", scaled)
    (folder / "masks").mkdir()
    shutil.copy(folder / f"{stem}_desc-brain_mask.nii.gz", folder / "masks")


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_run(
    page: str,
    phantoms: list[PhantomSubject],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_subject(tmp_path, phantoms[0])
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    found = examples(page)
    assert found
    for example in found:
        exec(example.replace(*FEWER), names)
    assert nib.load("sub-07_desc-synth_T1w.nii.gz").get_fdata().max() > 0
    if page == "README.md":
        return
    assert names["result"].std is not None
    assert 5 < names["scores"]["psnr"] < 40
    assert names["summary"]["methods"]["unet"]["brain"]["ssim"]["mean"] == 1
    assert (tmp_path / "evaluation" / "summary.md").is_file()
    assert list(names["phantom"].images) == ["flair", "t1w", "t2w"]
    assert "Expected a NIfTI file, got none (sub-08_FLAIR.nii.gz)" in capsys.readouterr().out
