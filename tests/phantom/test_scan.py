import numpy as np
import pytest

from mrcontrast.phantom.subject import AxialSlices, add_rician_noise, blur, draw_bias_field


def test_rician_noise_without_signal_is_rayleigh() -> None:
    noise = add_rician_noise(np.random.default_rng(1), np.zeros((60, 50, 40), np.float32), 3.0)
    assert noise.dtype == np.float32
    assert noise.mean() == pytest.approx(3 * np.sqrt(np.pi / 2), rel=0.01)
    assert (noise**2).mean() == pytest.approx(2 * 3.0**2, rel=0.01)


def test_rician_noise_of_a_signal() -> None:
    signal = np.full((60, 50, 40), -20.0, np.float32)  # magnitude: the sign does not count
    noisy = add_rician_noise(np.random.default_rng(2), signal, 2.0)
    assert (noisy**2).mean() == pytest.approx(20.0**2 + 2 * 2.0**2, rel=0.005)
    assert noisy.std() == pytest.approx(2.0, rel=0.02)


def test_bias_field_has_its_amplitude_and_is_smooth() -> None:
    bias = draw_bias_field(np.random.default_rng(3), (45, 54, 30), 0.1, 50.0)
    assert bias.shape == (45, 54, 30)
    assert 0.05 < np.log(bias).std() < 0.15
    assert np.abs(np.diff(np.log(bias), axis=1)).max() < 0.03


def test_blur_halves_a_point_at_half_its_width() -> None:
    point = np.zeros((31, 31, 31), np.float32)
    point[15, 15, 15] = 1000.0
    spread = blur(point, fwhm_voxels=6.0)
    assert spread[18, 15, 15] == pytest.approx(0.5 * spread[15, 15, 15], rel=1e-3)
    assert spread.sum() == pytest.approx(1000.0, rel=1e-4)
    assert blur(point, 0.0) is point


def test_thick_slices_average_by_hand() -> None:
    slices = AxialSlices(count=5, spacing_mm=2.0, thickness_mm=3.0)
    signal = np.array([1, 2, 3, 4, 5], np.float32).reshape(1, 1, 5)
    # 0-3 mm: (2 * 1 + 1 * 2) / 3, 3-6: (1 * 2 + 2 * 3) / 3, 6-9: (2 * 4 + 5) / 3, 9-10: 5
    expected = np.array([4 / 3, 8 / 3, 13 / 3, 5])
    np.testing.assert_allclose(slices.average(signal)[0, 0], expected, rtol=1e-6)


def test_thick_slices_keep_a_ramp_inside() -> None:
    slices = AxialSlices(count=24, spacing_mm=1.0, thickness_mm=4.0)
    ramp = np.broadcast_to(np.arange(24, dtype=np.float32), (2, 3, 24))
    back = slices.interpolate(slices.average(ramp))
    np.testing.assert_allclose(back[..., 2:-2], ramp[..., 2:-2], atol=1e-5)
    assert back.shape == ramp.shape


def test_thick_slices_blur_an_edge() -> None:
    slices = AxialSlices(count=20, spacing_mm=1.0, thickness_mm=5.0)
    edge = np.broadcast_to((np.arange(20) >= 10).astype(np.float32), (1, 2, 20))
    back = slices.interpolate(slices.average(edge))
    assert np.abs(np.diff(back)).max() == pytest.approx(1 / 5, abs=1e-6)
