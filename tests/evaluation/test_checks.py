"""The checks in figures, from rows and calibrations that are chosen."""

import numpy as np
import pytest

from mrcontrast.evaluation.checks import check_ceiling, check_uncertainty
from mrcontrast.evaluation.statistics import Row
from mrcontrast.metrics.calibration import calibrate


def scores(psnr: float) -> dict[str, float]:
    return {"psnr": psnr, "ssim": 0.5, "ms_ssim": 0.6, "mae": 0.1}


def rows_of(psnr: dict[str, list[float]]) -> list[Row]:
    return [
        Row(name, name, method, "brain", 10, 0.0, 1.0, scores(value))
        for method, values in psnr.items()
        for index, value in enumerate(values)
        for name in [f"sub-{index}"]
    ]


def test_the_gap_to_the_ceiling() -> None:
    rows = rows_of({"autoencoder": [30, 32], "ours": [20, 24], "ours_shuffled": [1, 1]})
    gap = check_ceiling(rows, ["autoencoder"])["ceilings"]["autoencoder"]["gap"]
    assert list(gap) == ["ours"]
    assert gap["ours"]["psnr"]["mean"] == pytest.approx(9)
    assert check_ceiling(rows, [])["ceilings"] == {}


def test_uncertainty_is_averaged_over_subjects() -> None:
    rng = np.random.default_rng(0)
    sd = rng.uniform(0.1, 0.2, 5000)
    sessions = {
        name: calibrate(stretch * sd * rng.standard_normal(5000), sd)
        for name, stretch in (("sub-1_ses-1", 1.0), ("sub-1_ses-2", 3.0), ("sub-2", 2.0))
    }
    found = check_uncertainty({"ours": sessions}, {"ours": 4})["methods"]["ours"]
    assert found["scale"]["n"] == 2
    assert found["scale"]["mean"] == pytest.approx(2, rel=0.02)
    assert found["samples"] == 4
    assert len(found["bins"]) == 10
    assert found["bins"][0]["predicted_sd"] == pytest.approx(0.105, abs=0.003)
    assert found["bins"][0]["rmse"] == pytest.approx(2 * 0.105, rel=0.1)
