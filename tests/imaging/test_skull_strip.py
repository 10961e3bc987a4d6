from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from mrcontrast.errors import MrcontrastError
from mrcontrast.imaging.skull_strip import strip_skull
from mrcontrast.metrics.overlap import dice
from mrcontrast.storage.volume import Volume, read_mask, read_volume

pytest.importorskip("deepbet", reason="the extra prep is not installed")


def test_nothing_to_strip_is_one_line() -> None:
    with pytest.raises(MrcontrastError, match="deepbet finds no brain"):
        strip_skull(Volume(np.zeros((40, 44, 36), np.float32), np.eye(4)))


class Failing:
    def __init__(self, error: Exception) -> None:
        self.error = error

    def run(self, image: object, **options: object) -> None:
        raise self.error


def test_a_box_without_extent_is_no_brain(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.nn.functional.interpolate(torch.zeros(1, 1, 0, 5, 6), (8, 8, 8))
    failing = Failing(caught.value)
    monkeypatch.setattr("mrcontrast.imaging.skull_strip._network", lambda: failing)
    with pytest.raises(MrcontrastError, match="deepbet finds no brain"):
        strip_skull(Volume(np.ones((8, 9, 7), np.float32), np.eye(4)))


def test_out_of_memory_is_not_no_brain(monkeypatch: pytest.MonkeyPatch) -> None:
    failing = Failing(RuntimeError("DefaultCPUAllocator: can't allocate memory"))
    monkeypatch.setattr("mrcontrast.imaging.skull_strip._network", lambda: failing)
    with pytest.raises(RuntimeError, match="allocate memory"):
        strip_skull(Volume(np.ones((8, 9, 7), np.float32), np.eye(4)))


@pytest.mark.slow
@pytest.mark.realdata
def test_the_brain_of_a_real_flair(
    real_data: Path, record_property: Callable[[str, object], None]
) -> None:
    """Of every session that comes with a mask; the overlap goes into the JUnit report."""
    root = real_data / "openms-raw"
    masks = sorted((root / "derivatives" / "masks").rglob("*_space-FLAIR_desc-brain_mask.nii.gz"))
    assert masks
    for path in masks:
        folder = path.parent.relative_to(root / "derivatives" / "masks")
        stem = path.name.removesuffix("_space-FLAIR_desc-brain_mask.nii.gz")
        flair = read_volume(root / folder / "anat" / f"{stem}_FLAIR.nii.gz")
        overlap = float(dice(strip_skull(flair), read_mask(path, flair)))
        record_property(stem, round(overlap, 3))
        assert overlap > 0.93
