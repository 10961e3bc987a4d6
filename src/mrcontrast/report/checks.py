"""Sanity checks over a whole evaluation, in figures and in words."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from mrcontrast.metrics.bootstrap import summarise
from mrcontrast.metrics.calibration import NOMINAL_COVERAGE, Calibration
from mrcontrast.report.paired_tests import SHUFFLED
from mrcontrast.report.pairing import subject_of
from mrcontrast.report.statistics import Row, by_subject

CHECKED = ("psnr", "ssim", "ms_ssim", "mae")
Figures = Mapping[tuple[str, str, str], Mapping[str, float]]


def check_condition(rows: list[Row], seed: int) -> dict[str, Any]:
    """Say how much each method loses when it is given the FLAIR of another subject.

    Args:
        rows: The figures of all sessions; of method X the shuffled one is "X_shuffled".
        seed: Seed of the bootstrap.
    """
    figures = by_subject(rows)
    methods = list(dict.fromkeys(row.method for row in rows))
    found = {}
    for method in methods:
        if (shuffled := method + SHUFFLED) in methods:
            change = _changes(figures, method, shuffled, seed)
            found[method] = {
                "shuffled": shuffled,
                "follows_flair": _surely_positive(change.get("psnr")),
                "change": change,
            }
    return {
        "words": "figures in the brain with the subject's own FLAIR less those with another "
        "subject's; follows_flair: the interval of the fall in PSNR lies above 0; not known of "
        "one subject, which has no interval. Part of a fall is brain outside the other subject's "
        "mask",
        "methods": found,
        "untested": [m for m in methods if m not in found and not m.endswith(SHUFFLED)],
    }


def check_ceiling(rows: list[Row], ceilings: Sequence[str], seed: int) -> dict[str, Any]:
    """Say how far each method stays below an autoencoder that is given the truth.

    Args:
        rows: The figures of all sessions.
        ceilings: Methods that reconstruct the real image.
        seed: Seed of the bootstrap.
    """
    figures = by_subject(rows)
    methods = list(dict.fromkeys(row.method for row in rows))
    others = [m for m in methods if m not in ceilings and not m.endswith(SHUFFLED)]
    return {
        "words": "figures in the brain of the real image encoded and decoded, less those of each "
        "method: what a latent model cannot win by better diffusion",
        "ceilings": {
            ceiling: {"gap": {m: _changes(figures, ceiling, m, seed) for m in others}}
            for ceiling in ceilings
        },
    }


def check_uncertainty(
    found: Mapping[str, Mapping[str, Calibration]], samples: Mapping[str, int | None], seed: int
) -> dict[str, Any]:
    """Summarise error against predicted spread, method by method.

    Args:
        found: Method -> session -> calibration in the brain.
        samples: Draws behind the mean and the deviation of each method, if known.
        seed: Seed of the bootstrap.
    """
    return {
        "words": "in the brain: error of the mean of the draws against their standard deviation. "
        "bins: tenths of each session's voxels by predicted deviation, means over sessions; "
        "scale: rms error over rms prediction, 1 is right and above 1 too sure. A model that is "
        "right has a scale of sqrt(1 + 1 / samples), for the mean of few draws errs too",
        "nominal_coverage": NOMINAL_COVERAGE,
        "methods": {
            method: _uncertainty(sessions, samples.get(method), seed)
            for method, sessions in found.items()
        },
    }


def _uncertainty(
    sessions: Mapping[str, Calibration], samples: int | None, seed: int
) -> dict[str, Any]:
    """Average the calibrations of one method over subjects."""

    def over(values: Mapping[str, float]) -> dict[str, Any]:
        subjects: dict[str, list[float]] = {}
        for name, value in values.items():
            subjects.setdefault(subject_of(name), []).append(value)
        return asdict(summarise(np.array([np.mean(v) for v in subjects.values()]), seed))

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


def _surely_positive(change: Mapping[str, Any] | None) -> bool | None:
    """Return whether the interval of a change lies above 0; None if there is no interval."""
    if change is None or change["ci95"] is None:
        return None
    return bool(change["ci95"][0] > 0)


def _changes(figures: Figures, first: str, second: str, seed: int) -> dict[str, Any]:
    """Return the statistics of first less second over the subjects that both have."""
    changes = {}
    for metric in CHECKED:
        ours, theirs = (figures.get((name, "brain", metric), {}) for name in (first, second))
        common = sorted(ours.keys() & theirs.keys())
        values = np.array([ours[name] - theirs[name] for name in common])
        if len(values):
            changes[metric] = asdict(summarise(values, seed))
    return changes
