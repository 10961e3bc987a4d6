"""The checks in figures, from rows and calibrations that are chosen."""

import numpy as np
import pytest

from mrcontrast.metrics.calibration import calibrate
from mrcontrast.report.check_sheets import check_sheets
from mrcontrast.report.checks import check_ceiling, check_condition, check_uncertainty
from mrcontrast.report.statistics import Row


def scores(psnr: float) -> dict[str, float]:
    return {"psnr": psnr, "ssim": 0.5, "ms_ssim": 0.6, "mae": 0.1}


def rows_of(psnr: dict[str, list[float]]) -> list[Row]:
    return [
        Row(name, name, method, "brain", 10, 0.0, 1.0, scores(value))
        for method, values in psnr.items()
        for index, value in enumerate(values)
        for name in [f"sub-{index}"]
    ]


def test_a_model_that_follows_flair_falls_without_it() -> None:
    rows = rows_of({"good": [20, 22, 24], "good_shuffled": [10, 13, 13], "other": [1, 2, 3]})
    check = check_condition(rows, seed=0)
    assert check["methods"]["good"]["follows_flair"] is True
    assert check["methods"]["good"]["change"]["psnr"]["mean"] == pytest.approx(10)
    assert check["untested"] == ["other"]


def test_a_model_that_ignores_flair_is_named() -> None:
    rows = rows_of({"deaf": [20, 22, 24], "deaf_shuffled": [20.1, 21.8, 24.1]})
    assert check_condition(rows, seed=0)["methods"]["deaf"]["follows_flair"] is False


@pytest.mark.parametrize("psnr", [[20.0], [np.inf, 20.0]])
def test_without_an_interval_there_is_no_verdict(psnr: list[float]) -> None:
    """One subject may fall by chance; of equal images PSNR is infinite."""
    rows = rows_of({"a": psnr, "a_shuffled": [12.0, 11.0][: len(psnr)]})
    check = check_condition(rows, seed=0)
    assert check["methods"]["a"]["follows_flair"] is None
    (sheet,) = check_sheets({"checks": {"shuffled_flair": check}})
    assert sheet.rows[0][:2] == ["a", "unknown"]
    assert "not known of one subject" in sheet.notes[0]


def test_the_gap_to_the_ceiling() -> None:
    rows = rows_of({"autoencoder": [30, 32], "ours": [20, 24], "ours_shuffled": [1, 1]})
    gap = check_ceiling(rows, ["autoencoder"], seed=0)["ceilings"]["autoencoder"]["gap"]
    assert list(gap) == ["ours"]
    assert gap["ours"]["psnr"]["mean"] == pytest.approx(9)
    assert check_ceiling(rows, [], seed=0)["ceilings"] == {}


def test_uncertainty_is_averaged_over_subjects() -> None:
    rng = np.random.default_rng(0)
    sd = rng.uniform(0.1, 0.2, 5000)
    sessions = {
        name: calibrate(stretch * sd * rng.standard_normal(5000), sd)
        for name, stretch in (("sub-1_ses-1", 1.0), ("sub-1_ses-2", 3.0), ("sub-2", 2.0))
    }
    found = check_uncertainty({"ours": sessions}, {"ours": 4}, seed=0)["methods"]["ours"]
    assert found["scale"]["n"] == 2
    assert found["scale"]["mean"] == pytest.approx(2, rel=0.02)
    assert found["samples"] == 4
    assert len(found["bins"]) == 10
    assert found["bins"][0]["predicted_sd"] == pytest.approx(0.105, abs=0.003)
    assert found["bins"][0]["rmse"] == pytest.approx(2 * 0.105, rel=0.1)
