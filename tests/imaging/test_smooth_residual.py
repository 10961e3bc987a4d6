import numpy as np
import pytest

from mrcontrast.imaging.tissue_classes import segment_tissues, smooth_residual

SHAPE, SPACING_MM = (40, 36, 31), (3.0, 3.0, 4.0)


def ramp() -> np.ndarray:
    return np.linspace(-1, 1, SHAPE[0])[:, None, None] * np.ones(SHAPE)


def test_a_constant_stays_and_what_is_rough_goes() -> None:
    weight = np.ones(SHAPE)
    np.testing.assert_allclose(smooth_residual(3 * weight, weight, SPACING_MM), 3, rtol=1e-6)
    rough = np.where(np.indices(SHAPE).sum(axis=0) % 2, 1.0, -1.0)
    assert np.abs(smooth_residual(rough, weight, SPACING_MM)).max() < 0.05


def test_a_slow_ramp_is_found_from_half_of_the_voxels() -> None:
    weight = (np.random.default_rng(0).random(SHAPE) > 0.5).astype(float)
    found = smooth_residual(np.where(weight > 0, ramp(), 99.0), weight, SPACING_MM)
    middle = (slice(12, -12), slice(8, -8), slice(8, -8))
    np.testing.assert_allclose(found[middle], ramp()[middle], atol=0.1)


@pytest.mark.parametrize("shading", [0.0, 0.8])
def test_shading_does_not_change_tissue(shading: float) -> None:
    """Classes one apart, shaded by most of that from end to end."""
    rng = np.random.default_rng(1)
    coarse = rng.integers(1, 4, (10, 9, 8))
    truth = coarse.repeat(4, 0).repeat(4, 1).repeat(4, 2)[:40, :36, :31]
    image = truth + 0.1 * rng.standard_normal(SHAPE) + shading / 2 * ramp()
    labels = segment_tissues(image, np.ones(SHAPE, bool), SPACING_MM)
    assert (labels == truth).mean() > 0.97
