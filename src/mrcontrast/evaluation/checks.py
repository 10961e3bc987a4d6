"""Sanity checks over a whole evaluation."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from mrcontrast.evaluation.paired_tests import SHUFFLED
from mrcontrast.evaluation.statistics import Row, by_subject, over_subjects
from mrcontrast.metrics.calibration import NOMINAL_COVERAGE, Calibration
from mrcontrast.metrics.intervals import summarise

CHECKED = ("psnr", "ssim", "ms_ssim", "mae")


def check_ceiling(rows: Sequence[Row], ceilings: Sequence[str]) -> dict[str, Any]:
    """Return the gap of each method to the methods that reconstruct the real image, in the brain.

    It is given over the subjects that both have.
    """
    values = by_subject(rows)
    methods = list(dict.fromkeys(row.method for row in rows))
    others = [m for m in methods if m not in ceilings and not m.endswith(SHUFFLED)]

    def gap(first: str, second: str) -> dict[str, Any]:
        changes = {}
        for metric in CHECKED:
            ours, theirs = (values.get((name, "brain", metric), {}) for name in (first, second))
            if common := sorted(ours.keys() & theirs.keys()):
                change = np.array([ours[name] - theirs[name] for name in common])
                changes[metric] = asdict(summarise(change))
        return changes

    return {
        "words": "scores in the brain of the real image encoded and decoded, minus those of each "
        "method: the part that better diffusion cannot gain for a latent model",
        "ceilings": {
            ceiling: {"gap": {method: gap(ceiling, method) for method in others}}
            for ceiling in ceilings
        },
    }


def check_uncertainty(
    found: Mapping[str, Mapping[str, Calibration]], samples: Mapping[str, int | None]
) -> dict[str, Any]:
    """Summarise error against predicted spread, method by method, then session by session."""
    return {
        "words": "in the brain: error of the mean of the samples against their standard deviation. "
        "bins: tenths of each session's voxels by predicted deviation, means over sessions; "
        "scale: rms error over rms prediction, 1 is calibrated and above 1 overconfident. A "
        "calibrated model has a scale of sqrt(1 + 1 / samples): the mean of few samples errs too",
        "nominal_coverage": NOMINAL_COVERAGE,
        "methods": {
            method: {"samples": samples.get(method)} | _uncertainty(sessions)
            for method, sessions in found.items()
        },
    }


def _uncertainty(sessions: Mapping[str, Calibration]) -> dict[str, Any]:
    """Average the calibrations of one method over subjects."""
    names, each = list(sessions), list(sessions.values())
    predicted = np.mean([found.predicted_sd for found in each], axis=0)
    errors = np.mean([found.rmse for found in each], axis=0)

    def average(values: list[float]) -> dict[str, Any]:
        return asdict(over_subjects(dict(zip(names, values, strict=True))))

    return {
        "bins": [
            {"predicted_sd": float(sd), "rmse": float(rmse)}
            for sd, rmse in zip(predicted, errors, strict=True)
        ],
        "coverage": {k: average([found.coverage[k] for found in each]) for k in NOMINAL_COVERAGE},
        "scale": average([found.scale for found in each]),
        "rank_correlation": average([found.rank_correlation for found in each]),
    }
