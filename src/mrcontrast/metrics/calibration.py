"""Calibration of a predicted standard deviation against the error."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

BINS = 10
NOMINAL_COVERAGE = {"1_sd": 0.6827, "2_sd": 0.9545}  # of a normal error


@dataclass(frozen=True)
class Calibration:
    """Error against predicted spread, over the voxels of one image."""

    predicted_sd: tuple[float, ...]  # root mean square in each tenth of the voxels, lowest first
    rmse: tuple[float, ...]  # of the same voxels
    coverage: dict[str, float]  # share of voxels with an error of at most 1 and 2 deviations
    scale: float  # RMS error over RMS prediction, above 1 overconfident; NaN if all are 0
    rank_correlation: float  # Spearman's, of |error| and prediction; NaN if one is constant


def calibrate(error: np.ndarray, predicted_sd: np.ndarray) -> Calibration:
    """Compare errors (N,), N >= 10, with their predicted standard deviations (N,), >= 0.

    Source: Levi et al. 2022, Sensors 22(15), arXiv 1905.11659, eqs. 8 and 9 (bins of one size).
    """
    error, sd = error.astype(np.float64), predicted_sd.astype(np.float64)
    tenths = np.array_split(np.argsort(sd, kind="stable"), BINS)
    size, mean_square = np.abs(error), float(np.mean(sd**2))
    constant = np.ptp(size) == 0 or np.ptp(sd) == 0
    return Calibration(
        predicted_sd=tuple(_rms(sd[chosen]) for chosen in tenths),
        rmse=tuple(_rms(error[chosen]) for chosen in tenths),
        coverage={f"{k}_sd": float(np.mean(size <= k * sd)) for k in (1, 2)},
        scale=_rms(error) / mean_square**0.5 if mean_square else float("nan"),
        rank_correlation=float("nan" if constant else stats.spearmanr(size, sd).statistic),
    )


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))
