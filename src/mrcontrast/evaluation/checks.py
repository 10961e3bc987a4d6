"""Sanity checks over a whole evaluation, in figures and in words."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from mrcontrast.evaluation.paired_tests import SHUFFLED
from mrcontrast.evaluation.pairing import subject_of
from mrcontrast.evaluation.statistics import Row, by_subject
from mrcontrast.metrics.calibration import NOMINAL_COVERAGE, Calibration
from mrcontrast.metrics.intervals import summarise

CHECKED = ("psnr", "ssim", "ms_ssim", "mae")
Figures = Mapping[tuple[str, str, str], Mapping[str, float]]


def check_ceiling(rows: list[Row], ceilings: Sequence[str]) -> dict[str, Any]:
    """Say how far each method stays below an autoencoder that is given the truth.

    Args:
        rows: The figures of all sessions.
        ceilings: Methods that reconstruct the real image.
    """
    figures = by_subject(rows)
    methods = list(dict.fromkeys(row.method for row in rows))
    others = [m for m in methods if m not in ceilings and not m.endswith(SHUFFLED)]
    return {
        "words": "figures in the brain of the real image encoded and decoded, less those of each "
        "method: what a latent model cannot win by better diffusion",
        "ceilings": {
            ceiling: {"gap": {m: _changes(figures, ceiling, m) for m in others}}
            for ceiling in ceilings
        },
    }


def check_uncertainty(
    found: Mapping[str, Mapping[str, Calibration]], samples: Mapping[str, int | None]
) -> dict[str, Any]:
    """Summarise error against predicted spread, method by method.

    Args:
        found: Method -> session -> calibration in the brain.
        samples: Draws behind the mean and the deviation of each method, if known.
    """
    return {
        "words": "in the brain: error of the mean of the draws against their standard deviation. "
        "bins: tenths of each session's voxels by predicted deviation, means over sessions; "
        "scale: rms error over rms prediction, 1 is right and above 1 too sure. A model that is "
        "right has a scale of sqrt(1 + 1 / samples), for the mean of few draws errs too",
        "nominal_coverage": NOMINAL_COVERAGE,
        "methods": {
            method: _uncertainty(sessions, samples.get(method))
            for method, sessions in found.items()
        },
    }


def _uncertainty(sessions: Mapping[str, Calibration], samples: int | None) -> dict[str, Any]:
    """Average the calibrations of one method over subjects."""

    def over(values: Mapping[str, float]) -> dict[str, Any]:
        subjects: dict[str, list[float]] = {}
        for name, value in values.items():
            subjects.setdefault(subject_of(name), []).append(value)
        return asdict(summarise(np.array([np.mean(v) for v in subjects.values()])))

    bins = zip(
        np.mean([found.predicted_sd for found in sessions.values()], axis=0),
        np.mean([found.rmse for found in sessions.values()], axis=0),
        strict=True,
    )
    return {
        "samples": samples,
        "bins": [{"predicted_sd": float(sd), "rmse": float(rmse)} for sd, rmse in bins],
        "coverage": {
            name: over({key: found.coverage[name] for key, found in sessions.items()})
            for name in NOMINAL_COVERAGE
        },
        "scale": over({key: found.scale for key, found in sessions.items()}),
        "rank_correlation": over({key: found.rank_correlation for key, found in sessions.items()}),
    }


def _changes(figures: Figures, first: str, second: str) -> dict[str, Any]:
    """Return the statistics of first less second over the subjects that both have."""
    changes = {}
    for metric in CHECKED:
        ours, theirs = (figures.get((name, "brain", metric), {}) for name in (first, second))
        common = sorted(ours.keys() & theirs.keys())
        values = np.array([ours[name] - theirs[name] for name in common])
        if len(values):
            changes[metric] = asdict(summarise(values))
    return changes
