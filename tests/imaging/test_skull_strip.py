from pathlib import Path

import numpy as np
import pytest

from mrcontrast.errors import MrcontrastError
from mrcontrast.imaging.skull_strip import strip_skull
from mrcontrast.metrics.overlap import dice
from mrcontrast.volume import Volume, read_mask, read_volume

pytest.importorskip("deepbet", reason="the extra prep is not installed")


def test_nothing_to_strip_is_one_line() -> None:
    with pytest.raises(MrcontrastError, match="deepbet finds no brain"):
        strip_skull(Volume(np.zeros((40, 44, 36), np.float32), np.eye(4)))


@pytest.mark.slow
@pytest.mark.realdata
def test_the_brain_of_a_real_flair(real_data: Path) -> None:
    root, stem = real_data / "openms-raw", "sub-12_ses-1"
    flair = read_volume(root / "sub-12" / "ses-1" / "anat" / f"{stem}_FLAIR.nii.gz")
    masks = root / "derivatives" / "masks" / "sub-12" / "ses-1"
    truth = read_mask(masks / f"{stem}_space-FLAIR_desc-brain_mask.nii.gz", flair)
    assert float(dice(strip_skull(flair), truth)) > 0.93
