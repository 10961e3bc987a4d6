"""What feature networks say: perceptual distance by subject, and distances of whole sets."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from mrcontrast.config.build import build
from mrcontrast.errors import MrcontrastError
from mrcontrast.evaluation.pairing import subject_of
from mrcontrast.evaluation.statistics import PERCEPTUAL
from mrcontrast.metrics.feature_distances import (
    Interval,
    cubic_kernel,
    frechet_distance,
    gaussian_kernel,
    with_interval,
)

WORDS = {
    "kid": "squared MMD with the cubic kernel of KID (Binkowski 2018), over pairs of vectors of "
    "different subjects: unbiased, 0 on average for images of one distribution",
    "mmd": "the same with a Gaussian kernel as wide as the median distance",
    "fid": "Frechet distance of normal distributions (Heusel 2017); biased upwards, so only values "
    "of equal numbers of subjects and vectors compare; refused unless there are more vectors than "
    "dimensions, for else its value is that of the sample size",
}

Vectors = dict[str, np.ndarray]


class FeatureScorer:
    """Compares images through a frozen network that each process loads once.

    Args:
        node: A node of ``configs/features`` as plain values.
    """

    def __init__(self, node: Mapping[str, Any]) -> None:
        import json

        self.key = json.dumps(node)

    @property
    def extractor(self) -> Any:  # noqa: ANN401 - an Extractor, whose module imports torch
        """The extractor, built on first use."""
        return _extractor(self.key)

    @property
    def metric(self) -> str:
        """Name of the perceptual distance, with its extractor."""
        return f"{PERCEPTUAL}{self.extractor.name}"

    def view(self, image: np.ndarray, mask: np.ndarray, ends: tuple[float, float]) -> Any:  # noqa: ANN401
        """Return what the network sees of an image (X, Y, Z).

        Args:
            image: In the units of the metrics.
            mask: The brain, (X, Y, Z) bool.
            ends: Intensities that become 0 and 1.
        """
        low, high = ends
        return self.extractor.view((image - low) / (high - low), mask)

    def distance(self, ours: Any, theirs: Any) -> float:  # noqa: ANN401 - tensors
        """Return the perceptual distance of two views, at least 0, the mean over slices."""
        import torch

        from mrcontrast.losses.perceptual import layer_distance

        with torch.no_grad():
            maps = (self.extractor.network(view) for view in (ours, theirs))
            layers = [layer_distance(a, b) for a, b in zip(*maps, strict=True)]
        return float(torch.stack(layers).mean())

    def vectors(self, view: Any) -> np.ndarray:  # noqa: ANN401 - a tensor
        """Return the feature vectors of a view, (n, dim) float64."""
        from mrcontrast.networks.features.extractors import pooled_features

        return pooled_features(self.extractor, view)


def compare_sets(
    scorer: FeatureScorer, real: Mapping[str, np.ndarray], synthetic: Mapping[str, Vectors]
) -> dict[str, Any]:
    """Return KID, MMD and FID of each method against the real images.

    Args:
        scorer: What made the vectors.
        real: Session -> vectors (n, dim) of the real image.
        synthetic: Method -> session -> vectors of the synthetic image.
    """
    described = scorer.extractor.describe()
    methods = {}
    for method, sessions in synthetic.items():
        names = sorted(sessions)
        pair = [[vectors[name] for name in names] for vectors in (real, sessions)]
        people = [subject_of(name) for name in names]
        methods[method] = set_distances(pair[0], pair[1], people, described["name"])
    return {"extractor": described, "definitions": WORDS, "methods": methods}


def set_distances(
    real: Sequence[np.ndarray],
    synthetic: Sequence[np.ndarray],
    subjects: Sequence[str],
    extractor: str,
) -> dict[str, Any]:
    """Return the distances of two sets that hold the same sessions in the same order.

    A value or an interval for which there are too few vectors is None.

    Args:
        real: Vectors (n, dim) of each session.
        synthetic: The same of its synthetic image.
        subjects: The person of each session; intervals leave out one at a time.
        extractor: Name that stands in those of the distances.
    """
    a, b = np.concatenate(real), np.concatenate(synthetic)
    _, numbers = np.unique(subjects, return_inverse=True)
    owner = np.repeat(numbers, [len(vectors) for vectors in real])
    n = len(a)
    tail = f"{extractor}, n = {n} v {n} of {len(real)} sessions"
    kid = with_interval(a, b, cubic_kernel, (owner, owner))
    mmd = with_interval(a, b, gaussian_kernel(a, b), (owner, owner))
    found: dict[str, Any] = {
        f"kid_{extractor}_n{n}": _named(f"KID ({tail})", kid),
        f"mmd_{extractor}_n{n}": _named(f"MMD ({tail})", mmd),
    }
    fid: dict[str, Any] = {
        "name": f"FID, biased upwards ({tail})",
        "value": None,
        "ci95": None,
        "refused": None,
    }
    try:
        fid["value"] = frechet_distance(a, b)
    except MrcontrastError as error:
        fid["refused"] = str(error)
    return found | {f"fid_{extractor}_n{n}": fid}


def _named(name: str, interval: Interval) -> dict[str, Any]:
    return {"name": name, "value": interval.value, "ci95": interval.ci95, "refused": None}


@lru_cache(maxsize=2)
def _extractor(key: str) -> Any:  # noqa: ANN401 - see FeatureScorer.extractor
    """Build an extractor from its node as JSON, once a process."""
    import json

    return build(json.loads(key))
