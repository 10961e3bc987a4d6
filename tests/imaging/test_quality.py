import numpy as np
import pytest

from mrcontrast.errors import MrcontrastError
from mrcontrast.imaging.quality import fov_margin_mm, measure_quality, noise_sd, tissue_contrast
from mrcontrast.phantom import PhantomSubject
from mrcontrast.storage.volume import Volume

SHAPE = (30, 34, 26)
AFFINE = np.diag([1.0, 2.0, 3.0, 1.0])


def ball(margin: int = 4) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[margin:-margin, margin:-margin, margin:-margin] = True
    return mask


@pytest.mark.parametrize("sd", [0.5, 5.0])
def test_noise_is_found_on_a_ramp(sd: float) -> None:
    ramp = 100 + 3.0 * np.arange(SHAPE[0])[:, None, None] * np.ones(SHAPE)
    data = ramp + np.random.default_rng(0).normal(0, sd, SHAPE)
    assert noise_sd(data, ball()) == pytest.approx(sd, rel=0.06)
    assert noise_sd(ramp, ball()) == pytest.approx(0, abs=1e-9)


def test_more_noise_is_less_snr_and_cnr(phantoms: list[PhantomSubject]) -> None:
    subject = phantoms[0]
    quiet = measure_quality(subject.images["t1w"], subject.brain_mask)
    sd = 0.2 * float(subject.images["t1w"].data[subject.brain_mask].mean())
    noise = np.random.default_rng(0).normal(0, sd, subject.images["t1w"].shape).astype(np.float32)
    loud = measure_quality(
        Volume(subject.images["t1w"].data + noise, subject.images["t1w"].affine), subject.brain_mask
    )
    assert loud["snr"] < 0.7 * quiet["snr"]
    assert loud["cnr"] < 0.9 * quiet["cnr"]
    assert loud["contrast"] < quiet["contrast"]


def test_contrast_known_by_hand() -> None:
    eta, difference = tissue_contrast(np.repeat([100.0, 300.0], 500))
    assert eta == pytest.approx(1, abs=1e-3)
    assert difference == pytest.approx(200, rel=0.01)
    normal = np.random.default_rng(0).normal(0, 1, 200_000)
    assert tissue_contrast(normal)[0] == pytest.approx(2 / np.pi, abs=0.01)
    assert tissue_contrast(np.ones(10)) == (0, 0)


def test_counts_known_by_hand() -> None:
    data = np.full(SHAPE, 10.0, np.float32)
    mask = ball()
    inside = np.argwhere(mask)
    for k, value in enumerate([-1, -1, 0, 50, 50, 50]):
        data[tuple(inside[k])] = value
    data[0, 0, 0] = -9  # outside: does not count
    found = measure_quality(Volume(data, AFFINE), mask)
    count = mask.sum()
    assert found["negative_fraction"] == pytest.approx(2 / count)
    assert found["zero_fraction"] == pytest.approx(1 / count)
    assert found["saturated_fraction"] == pytest.approx(3 / count)
    assert found["mask_ml"] == pytest.approx(count * 6 / 1000)
    assert (found["spacing_min_mm"], found["spacing_max_mm"]) == (1, 3)
    assert found["fov_margin_mm"] == 4


def test_a_brain_at_the_face_has_no_margin() -> None:
    mask = ball()
    mask[10, 10, -1] = True
    assert fov_margin_mm(Volume(np.ones(SHAPE), AFFINE), mask) == 0


def test_faults() -> None:
    volume = Volume(np.ones(SHAPE, np.float32), AFFINE)
    with pytest.raises(MrcontrastError, match="got 0 voxels"):
        measure_quality(volume, np.zeros(SHAPE, bool))
    with pytest.raises(MrcontrastError, match="mask with voxels of shape"):
        measure_quality(volume, np.ones((3, 3, 3), bool))
