"""How alike the subjects of a method are to each other, beside how alike the real ones are."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mrcontrast.evaluation.pairing import Case
from mrcontrast.evaluation.scoring import Scorer, Session
from mrcontrast.metrics.diversity import choose_pairs
from mrcontrast.storage.parallel import Workers

REAL = "real"
WORDS = (
    "mean MS-SSIM over pairs of subjects, whole image, by method and of the real images; above the "
    "real value the synthetic subjects are too alike. Pairs share subjects, so there is no interval"
)


@dataclass(frozen=True)
class PairScorer:
    """Compares two sessions with each other, for the real image and for each method.

    Attributes:
        scorer: How volumes are read and scaled.
    """

    scorer: Scorer

    def __call__(self, cases: tuple[Case, Case]) -> dict[str, float]:
        """Return MS-SSIM by method, and of the real images; {} for two sessions of unlike shape."""
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
        rule, first = self.scorer.rule, sessions[0]
        pair = [rule.rescale(i, s.ends) for i, s in zip(images, sessions, strict=True)]
        found = self.scorer.compare(pair[0], pair[1], first.frame, first.ends)
        return found["image"]["ms_ssim"]


def measure_diversity(cases: Sequence[Case], scorer: Scorer, pool: Workers) -> dict[str, Any]:
    """Return MS-SSIM over pairs of subjects; the first session of each counts.

    Args:
        cases: All sessions.
        scorer: How volumes are read and scaled.
        pool: Who compares.
    """
    first = {case.subject: case for case in reversed(cases)}
    chosen = [(first[a], first[b]) for a, b in choose_pairs(sorted(first))]
    values: dict[str, list[float]] = defaultdict(list)
    for found in pool.map(PairScorer(scorer), chosen):
        for name, value in found.items():
            values[name].append(value)
    return {
        "words": WORDS,
        "ms_ssim": {
            name: {"mean": float(np.mean(pairs)), "pairs": len(pairs)}
            for name, pairs in values.items()
        },
    }
