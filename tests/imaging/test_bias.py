import numpy as np
import pytest

from mrcontrast.errors import MrcontrastError
from mrcontrast.imaging.bias import correct_bias
from mrcontrast.phantom import PhantomConfig, PhantomSubject, make_subject
from mrcontrast.phantom.config import ScannerRanges
from mrcontrast.storage.volume import Volume

pytest.importorskip("SimpleITK", reason="the extra prep is not installed")
WM, COARSE_MM = 3, 8.0


@pytest.fixture(scope="module")
def unshaded() -> PhantomSubject:
    scanner = ScannerRanges(bias_amplitude=(0.0, 0.0))
    return make_subject(5, PhantomConfig(4.0, anatomy_spacing_mm=4.0, scanner=scanner))


def gain(shape: tuple[int, ...]) -> np.ndarray:
    x, y, z = (np.linspace(-1, 1, n) for n in shape)
    slope = 0.3 * x[:, None, None] + 0.2 * y[:, None] ** 2 - 0.1 * z
    return np.exp(slope).astype(np.float32)


def test_a_known_gain_is_taken_out(unshaded: PhantomSubject) -> None:
    clean, mask = unshaded.images["t1w"], unshaded.brain_mask
    field = gain(clean.shape)
    found, strength = correct_bias(Volume(clean.data * field, clean.affine), mask, COARSE_MM)
    inside = mask & (clean.data > 0)
    left = np.log(clean.data[inside] / found.data[inside])
    assert left.std() < 0.4 * np.log(field)[mask].std()
    assert strength == pytest.approx(np.log(field)[mask].std(), rel=0.35)
    white = unshaded.labels == WM
    shaded, corrected = (clean.data * field)[white], found.data[white]
    assert corrected.std() / corrected.mean() < 0.6 * shaded.std() / shaded.mean()


def test_what_has_no_gain_is_left_nearly_alone(unshaded: PhantomSubject) -> None:
    t1w = unshaded.images["t1w"]
    found, strength = correct_bias(t1w, unshaded.brain_mask, COARSE_MM)
    assert strength < 0.06
    inside = unshaded.brain_mask & (t1w.data > 0)
    gain_found = t1w.data[inside] / found.data[inside]
    assert np.log(gain_found).mean() == pytest.approx(0, abs=1e-5)
    np.testing.assert_array_equal(found.affine, t1w.affine)
    again, _ = correct_bias(t1w, unshaded.brain_mask, COARSE_MM)
    np.testing.assert_array_equal(again.data, found.data)


def test_thick_slices_and_zeros_do_no_harm(unshaded: PhantomSubject) -> None:
    affine = unshaded.images["flair"].affine @ np.diag([1, 1, 2, 1])
    thick = Volume(unshaded.images["flair"].data[..., ::2].copy(), affine)
    mask = unshaded.brain_mask[..., ::2]
    thick.data[22:24, 26:28, 12] = 0
    found, _ = correct_bias(thick, mask, COARSE_MM)
    assert np.isfinite(found.data).all()
    assert (found.data[22:24, 26:28, 12] == 0).all()


def test_an_empty_mask_is_refused(unshaded: PhantomSubject) -> None:
    with pytest.raises(MrcontrastError, match="positive voxels in the mask"):
        correct_bias(unshaded.images["t1w"], np.zeros(unshaded.images["t1w"].shape, bool))
