import numpy as np
import pytest

from mrcontrast.metrics.calibration import BINS, NOMINAL_COVERAGE, calibrate


def errors(stretch: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    sd = rng.uniform(0.01, 0.2, 40_000)
    return stretch * sd * rng.standard_normal(len(sd)), sd


def test_a_right_prediction_is_found_right() -> None:
    found = calibrate(*errors())
    np.testing.assert_allclose(found.rmse, found.predicted_sd, rtol=0.05)
    assert found.coverage == pytest.approx(NOMINAL_COVERAGE, abs=0.01)
    assert found.scale == pytest.approx(1, abs=0.02)
    assert len(found.rmse) == BINS
    assert found.rmse[-1] > 5 * found.rmse[0]


@pytest.mark.parametrize(("stretch", "scale"), [(3.0, 3.0), (0.5, 0.5)])
def test_too_sure_and_too_unsure(stretch: float, scale: float) -> None:
    found = calibrate(*errors(stretch))
    assert found.scale == pytest.approx(scale, rel=0.02)
    assert (found.coverage["1_sd"] > NOMINAL_COVERAGE["1_sd"]) == (stretch < 1)


def test_a_spread_that_knows_nothing_has_flat_bins() -> None:
    error, sd = errors()
    found = calibrate(np.random.default_rng(1).permutation(error), sd)
    assert found.rmse[-1] == pytest.approx(found.rmse[0], rel=0.1)
    assert found.rank_correlation == pytest.approx(0, abs=0.02)
    assert calibrate(error, sd).rank_correlation > 0.3


def test_no_spread_at_all() -> None:
    found = calibrate(np.linspace(-1, 1, 50), np.zeros(50))
    assert np.isnan(found.scale)
    assert np.isnan(found.rank_correlation)
    assert found.coverage == {"1_sd": 0, "2_sd": 0}
