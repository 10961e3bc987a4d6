"""Perceptual distance of each subject and distances of whole sets, through a feature network."""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from mrcontrast.config.build import build
from mrcontrast.errors import MrcontrastError
from mrcontrast.evaluation.pairing import subject_of
from mrcontrast.metrics.feature_distances import (
    cubic_kernel,
    frechet_distance,
    gaussian_kernel,
    with_interval,
)
from mrcontrast.metrics.metric import Metric

PERCEPTUAL = "perceptual distance"
WORDS = {
    "kid": "squared MMD with the cubic kernel of KID (Binkowski 2018), over pairs of vectors of "
    "different subjects: unbiased, 0 on average for images of one distribution",
    "mmd": "the same with a Gaussian kernel as wide as the median distance",
    "fid": "Frechet distance of normal distributions (Heusel 2017); biased upwards, so compare "
    "values of equal numbers of subjects and vectors only; refused unless there are more vectors "
    "than dimensions, since its value then depends on the sample size alone",
}


class FeatureScorer:
    """Compare images through a frozen network of ``configs/features``, loaded once a process."""

    def __init__(self, node: Mapping[str, Any]) -> None:
        self.key = json.dumps(node)

    @property
    def extractor(self) -> Any:  # noqa: ANN401 - an Extractor, whose module imports torch
        """The extractor, built on first use."""
        return _extractor(self.key)

    @property
    def metric(self) -> Metric:
        """The perceptual distance, named after its extractor."""
        name = self.extractor.name
        return Metric(
            f"perceptual_{name}",
            f"Perceptual ({name})",
            "distance of feature maps, the mean over slices",
            better="lower",
            digits=4,
            per="brain",
            group=PERCEPTUAL,
        )

    def view(self, image: np.ndarray, mask: np.ndarray, ends: tuple[float, float]) -> Any:  # noqa: ANN401
        """Return an image (X, Y, Z) with its brain mask as input of the network.

        The intensities ``ends``, in the units of the metrics, become 0 and 1.
        """
        low, high = ends
        return self.extractor.inputs((image - low) / (high - low), mask)

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


@lru_cache(maxsize=2)
def _extractor(key: str) -> Any:  # noqa: ANN401 - see FeatureScorer.extractor
    """Build an extractor from its node as JSON, once a process."""
    return build(json.loads(key))


def compare_sets(
    scorer: FeatureScorer,
    real: Mapping[str, np.ndarray],
    synthetic: Mapping[str, Mapping[str, np.ndarray]],
) -> dict[str, Any]:
    """Return KID, MMD and FID of each method against the real images; None for too few vectors.

    Vectors (n, dim) of an image come by session, and those of synthetic images by method first.
    """
    described = scorer.extractor.describe()
    methods = {
        method: _distances(real, sessions, described["name"])
        for method, sessions in synthetic.items()
    }
    return {"extractor": described, "definitions": WORDS, "methods": methods}


def _distances(
    real: Mapping[str, np.ndarray], synthetic: Mapping[str, np.ndarray], extractor: str
) -> dict[str, Any]:
    """Return the distances of one method; intervals leave out one subject at a time."""
    names = sorted(synthetic)
    a, b = (np.concatenate([vectors[name] for name in names]) for vectors in (real, synthetic))
    _, numbers = np.unique([subject_of(name) for name in names], return_inverse=True)
    owner = np.repeat(numbers, [len(real[name]) for name in names])
    found: dict[str, dict[str, Any]] = {}
    for kind, kernel in (("kid", cubic_kernel), ("mmd", gaussian_kernel(a, b))):
        interval = with_interval(a, b, kernel, (owner, owner))
        found[kind] = {"value": interval.value, "ci95": interval.ci95, "refused": None}
    found["fid"] = {"value": None, "ci95": None, "refused": None}
    try:
        found["fid"]["value"] = frechet_distance(a, b)
    except MrcontrastError as error:
        found["fid"]["refused"] = str(error)
    n, titles = len(a), {"kid": "KID", "mmd": "MMD", "fid": "FID, biased upwards"}
    tail = f"{extractor}, n = {n} v {n} of {len(names)} sessions"
    return {
        f"{kind}_{extractor}_n{n}": {"name": f"{titles[kind]} ({tail})"} | values
        for kind, values in found.items()
    }
