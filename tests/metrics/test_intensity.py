import numpy as np
import pytest

from mrcontrast.errors import MrcontrastError
from mrcontrast.metrics.intensity import FixedRange, ReferenceRange, is_unit

TARGET = np.linspace(100, 330, 2 * 3 * 4).reshape(2, 3, 4)
MASK = TARGET <= 250


def test_a_fixed_range_leaves_the_voxels_alone() -> None:
    rule = FixedRange(0, 400)
    ends = rule.ends(TARGET, MASK)
    assert ends == rule.measured(ends) == (0, 400)
    assert rule.rescale(TARGET, ends) is TARGET
    assert rule.describe()["data_range"] == 400


def test_the_reference_gives_the_range_of_both_images() -> None:
    rule = ReferenceRange(0, 100)
    ends = rule.ends(TARGET, MASK)
    assert ends == (100, 250)
    rescaled = rule.rescale(TARGET, ends)
    assert (rescaled.min(), rescaled[MASK].max()) == (0, 1)
    assert rescaled.max() > 1  # not clipped
    assert rule.measured(ends) == (0, 1)


def test_a_constant_reference_is_refused() -> None:
    with pytest.raises(MrcontrastError, match="contrast, got 5"):
        ReferenceRange().ends(np.full((2, 3), 5.0), np.ones((2, 3), bool))


@pytest.mark.parametrize(("low", "high"), [(1, 1), (2, 1), (0, np.inf)])
def test_a_range_without_width_is_refused(low: float, high: float) -> None:
    with pytest.raises(MrcontrastError, match="positive width"):
        FixedRange(low, high)


def test_unit_range_has_a_tolerance() -> None:
    assert is_unit(-5e-4, 1.0005)
    assert not is_unit(-0.1, 1.0)
    assert not is_unit(0.0, 1.1)
