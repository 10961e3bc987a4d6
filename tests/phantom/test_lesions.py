import numpy as np
import pytest
import torch

from mrcontrast.phantom.anatomy import draw_centres, draw_lesions, stamp_lesion
from mrcontrast.phantom.config import LesionRanges


@pytest.mark.parametrize("spacing_mm", [0.5, 0.4])
def test_volume_of_a_sphere(spacing_mm: float) -> None:
    shape = (41, 45, 49)
    lesion = torch.zeros(shape)
    axes = 5.0 / spacing_mm * np.eye(3)
    stamp_lesion(lesion, torch.zeros(shape), np.array([20, 22, 24]), axes, spacing_mm)
    # diameter 10 mm: 4/3 pi 5^3 = 523.6 mm^3
    assert float((lesion > 0.5).sum()) * spacing_mm**3 == pytest.approx(523.6, rel=0.03)
    assert float(lesion[20, 22, 24]) > 0.99


def test_lesions_stay_in_white_matter() -> None:
    wm = torch.zeros(40, 44, 48)
    wm[8:32, 8:36, 8:40] = 1
    near = torch.zeros_like(wm)
    rng = np.random.default_rng(0)
    lesion = draw_lesions(rng, LesionRanges(), 10, wm, near, spacing_mm=2.0)
    assert lesion.max() > 0.5
    assert (lesion <= wm).all()


def test_lesions_lie_beside_the_ventricles_or_deep_as_asked() -> None:
    wm = torch.ones(40, 44, 48)
    near = torch.zeros_like(wm)
    near[:10] = 0.6
    beside = np.array([True, False] * 20)
    centres = draw_centres(np.random.default_rng(1), beside, wm, near)
    np.testing.assert_array_equal(centres[:, 0] < 10, beside)


def test_no_white_matter_no_lesion() -> None:
    nothing = torch.zeros(20, 22, 24)
    lesion = draw_lesions(np.random.default_rng(2), LesionRanges(), 5, nothing, nothing, 4.0)
    assert not lesion.any()
