"""Similarity of the subjects of a method to each other, and of the real subjects."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np

from mrcontrast.evaluation.anatomy import Anatomy
from mrcontrast.evaluation.metric_list import BY_NAME
from mrcontrast.evaluation.pairing import Case
from mrcontrast.evaluation.reference import axial_axis
from mrcontrast.evaluation.scoring import Scorer, Session
from mrcontrast.storage.parallel import Workers

MAX_PAIRS = 50
REAL = "real"
METRIC = "ms_ssim"
WORDS = (
    "mean MS-SSIM over pairs of subjects, whole image, by method and of the real images; above the "
    "real value the synthetic subjects are too alike. Pairs share subjects, so there is no interval"
)


def measure_diversity(cases: Sequence[Case], scorer: Scorer, pool: Workers) -> dict[str, Any]:
    """Return MS-SSIM over pairs of subjects, by their first sessions.

    Source: Odena et al. 2017, arXiv 1610.09585, section 4.2 (diversity); Pinaya et al. 2022,
    arXiv 2209.07162 (brains, MS-SSIM in 3D).
    """
    first = {case.subject: case for case in reversed(cases)}
    chosen = [(first[a], first[b]) for a, b in choose_pairs(sorted(first))]
    values: dict[str, list[float]] = defaultdict(list)
    alone = replace(scorer, metrics=(BY_NAME[METRIC],))
    for found in pool.map(partial(compare_sessions, scorer=alone), chosen):
        for name, value in found.items():
            values[name].append(value)
    return {
        "words": WORDS,
        METRIC: {
            name: {"mean": float(np.mean(pairs)), "pairs": len(pairs)}
            for name, pairs in values.items()
        },
    }


def compare_sessions(cases: tuple[Case, Case], scorer: Scorer) -> dict[str, float]:
    """Return MS-SSIM of two sessions, by method and of the real images; {} for unequal shapes."""
    sessions = [Session(case, scorer) for case in cases]
    one, two = (session.reference for session in sessions)
    if one.shape != two.shape:
        return {}

    def similarity(images: Sequence[np.ndarray]) -> float:
        scaled = zip(images, sessions, strict=True)
        ours, theirs = (scorer.rule.rescale(image, session.ends) for image, session in scaled)
        frame = Anatomy(theirs, sessions[0].mask, one.spacing_mm, axial_axis(one))
        return scorer.compare(ours, frame, sessions[0].ends)["image"][METRIC]

    found = {REAL: similarity([one.data, two.data])}
    for method, path in cases[0].predictions.items():
        if (other := cases[1].predictions.get(method)) is not None:
            files = zip(sessions, (path, other), strict=True)
            found[method] = similarity([session.read(file).data for session, file in files])
    return found


def choose_pairs(names: Sequence[str], most: int = MAX_PAIRS) -> list[tuple[str, str]]:
    """Return all pairs of names, or ``most`` evenly spaced ones."""
    pairs = list(combinations(names, 2))
    if len(pairs) <= most:
        return pairs
    return [pairs[round(index)] for index in np.linspace(0, len(pairs) - 1, most)]
