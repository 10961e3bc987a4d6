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
Values = Mapping[tuple[str, str, str], Mapping[str, float]]


def check_ceiling(rows: Sequence[Row], ceilings: Sequence[str]) -> dict[str, Any]:
    """Return the gap of each method to an autoencoder that is given the real image.

    Args:
        rows: The scores of all sessions.
        ceilings: Methods that reconstruct the real image.
    """
    values = by_subject(rows)
    methods = list(dict.fromkeys(row.method for row in rows))
    others = [m for m in methods if m not in ceilings and not m.endswith(SHUFFLED)]
    return {
        "words": "scores in the brain of the real image encoded and decoded, minus those of each "
        "method: the part that better diffusion cannot gain for a latent model",
        "ceilings": {
            ceiling: {"gap": {m: _changes(values, ceiling, m) for m in others}}
            for ceiling in ceilings
        },
    }


def check_uncertainty(
    found: Mapping[str, Mapping[str, Calibration]], samples: Mapping[str, int | None]
) -> dict[str, Any]:
    """Summarise error against predicted spread, method by method.

    Args:
        found: Method -> session -> calibration in the brain.
        samples: Number of samples of each method, if known.
    """
    return {
        "words": "in the brain: error of the mean of the samples against their standard deviation. "
        "bins: tenths of each session's voxels by predicted deviation, means over sessions; "
        "scale: rms error over rms prediction, 1 is calibrated and above 1 overconfident. A "
        "calibrated model has a scale of sqrt(1 + 1 / samples): the mean of few samples errs too",
        "nominal_coverage": NOMINAL_COVERAGE,
        "methods": {
            method: _uncertainty(sessions, samples.get(method))
            for method, sessions in found.items()
        },
    }


def _uncertainty(sessions: Mapping[str, Calibration], samples: int | None) -> dict[str, Any]:
    """Average the calibrations of one method over subjects."""
    bins = zip(
        np.mean([found.predicted_sd for found in sessions.values()], axis=0),
        np.mean([found.rmse for found in sessions.values()], axis=0),
        strict=True,
    )
    coverage = {
        kind: over_subjects({name: found.coverage[kind] for name, found in sessions.items()})
        for kind in NOMINAL_COVERAGE
    }
    scale = {name: found.scale for name, found in sessions.items()}
    correlation = {name: found.rank_correlation for name, found in sessions.items()}
    return {
        "samples": samples,
        "bins": [{"predicted_sd": float(sd), "rmse": float(rmse)} for sd, rmse in bins],
        "coverage": {kind: asdict(statistic) for kind, statistic in coverage.items()},
        "scale": asdict(over_subjects(scale)),
        "rank_correlation": asdict(over_subjects(correlation)),
    }


def _changes(values: Values, first: str, second: str) -> dict[str, Any]:
    """Return the statistics of first minus second over the subjects that both have."""
    changes = {}
    for metric in CHECKED:
        ours, theirs = (values.get((name, "brain", metric), {}) for name in (first, second))
        common = sorted(ours.keys() & theirs.keys())
        if common:
            differences = np.array([ours[name] - theirs[name] for name in common])
            changes[metric] = asdict(summarise(differences))
    return changes
