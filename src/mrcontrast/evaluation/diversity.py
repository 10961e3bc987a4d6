"""Similarity of the subjects of a method to each other, and of the real subjects."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
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


@dataclass(frozen=True)
class PairScorer:
    """Compare two sessions with each other: the real images, and those of each method.

    Attributes:
        scorer: Settings of the evaluation.
    """

    scorer: Scorer

    def __call__(self, cases: tuple[Case, Case]) -> dict[str, float]:
        """Return MS-SSIM by method and of the real images; {} for sessions of unequal shape.

        Source: Odena et al. 2017, arXiv 1610.09585, section 4.2 (diversity); Pinaya et al. 2022,
        arXiv 2209.07162 (brains, MS-SSIM in 3D).
        """
        sessions = [Session(case, self.scorer) for case in cases]
        if sessions[0].reference.shape != sessions[1].reference.shape:
            return {}
        found = {REAL: self._similarity(sessions, [s.reference.data for s in sessions])}
        for method, path in cases[0].predictions.items():
            if (other := cases[1].predictions.get(method)) is not None:
                pair = zip(sessions, (path, other), strict=True)
                images = [session.read(file).data for session, file in pair]
                found[method] = self._similarity(sessions, images)
        return found

    def _similarity(self, sessions: Sequence[Session], images: Sequence[np.ndarray]) -> float:
        scaled = zip(images, sessions, strict=True)
        ours, theirs = (self.scorer.rule.rescale(i, s.ends) for i, s in scaled)
        first = sessions[0]
        frame = Anatomy(theirs, first.mask, first.reference.spacing_mm, axial_axis(first.reference))
        return self.scorer.compare(ours, frame, first.ends)["image"][METRIC]


def measure_diversity(cases: Sequence[Case], scorer: Scorer, pool: Workers) -> dict[str, Any]:
    """Return MS-SSIM over pairs of subjects, by their first sessions.

    Args:
        cases: All sessions.
        scorer: Settings of the evaluation.
        pool: Processes to use.
    """
    first = {case.subject: case for case in reversed(cases)}
    chosen = [(first[a], first[b]) for a, b in choose_pairs(sorted(first))]
    values: dict[str, list[float]] = defaultdict(list)
    compare = PairScorer(replace(scorer, metrics=(BY_NAME[METRIC],)))
    for found in pool.map(compare, chosen):
        for name, value in found.items():
            values[name].append(value)
    return {
        "words": WORDS,
        METRIC: {
            name: {"mean": float(np.mean(pairs)), "pairs": len(pairs)}
            for name, pairs in values.items()
        },
    }


def choose_pairs(names: Sequence[str], most: int = MAX_PAIRS) -> list[tuple[str, str]]:
    """Return all pairs of names, or ``most`` evenly spaced ones.

    Example:
        >>> choose_pairs(["a", "b", "c"])
        [('a', 'b'), ('a', 'c'), ('b', 'c')]
    """
    pairs = list(combinations(names, 2))
    if len(pairs) <= most:
        return pairs
    return [pairs[round(index)] for index in np.linspace(0, len(pairs) - 1, most)]
