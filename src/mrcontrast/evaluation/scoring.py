"""From the files of one session to all its scores."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mrcontrast.data.predictions import PredictionFiles
from mrcontrast.evaluation import condition
from mrcontrast.evaluation.anatomy import Anatomy, score_volume
from mrcontrast.evaluation.condition import Swap, brain_of, compare_swap
from mrcontrast.evaluation.feature_scores import FeatureScorer
from mrcontrast.evaluation.neighbours import Nearest, TrainingSet
from mrcontrast.evaluation.paired_tests import SHUFFLED
from mrcontrast.evaluation.pairing import Case
from mrcontrast.evaluation.reference import naming, read_anatomy, read_like, read_reference
from mrcontrast.evaluation.statistics import Row
from mrcontrast.metrics.calibration import Calibration, calibrate
from mrcontrast.metrics.intensity import Ends, IntensityRange
from mrcontrast.metrics.metric import Metric
from mrcontrast.metrics.score_regions import Scores
from mrcontrast.storage.volume import Volume
from mrcontrast.transforms.normalise import Normaliser


@dataclass(frozen=True)
class CaseResult:
    """All results of one session, by method where they exist."""

    name: str
    rows: list[Row] = field(default_factory=list)
    calibrations: dict[str, Calibration] = field(default_factory=dict)
    nearest: dict[str, Nearest] = field(default_factory=dict)
    swaps: dict[str, Swap] = field(default_factory=dict)
    real_vectors: np.ndarray | None = None  # features, (n, dim)
    vectors: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Scorer:
    """The settings that all sessions of an evaluation share; sent to each worker."""

    rule: IntensityRange
    num_scales: int  # of MS-SSIM
    metrics: tuple[Metric, ...]  # that hold for the target
    normaliser: Normaliser | None = None  # of the reference; predictions are taken as stored
    training: TrainingSet | None = None
    features: FeatureScorer | None = None
    dims: int = 3  # 2 for axial slices
    target: str = ""  # contrast, such as "t1w"

    def compare(self, image: np.ndarray, anatomy: Anatomy, ends: Ends) -> dict[str, Scores]:
        """Return the metrics of a synthetic image (X, Y, Z) by region."""
        ends = self.rule.measured(ends)
        return score_volume(image, anatomy, self.metrics, ends, self.num_scales, self.dims)

    def __call__(self, case: Case) -> CaseResult:
        """Score every prediction of one session, one volume in memory at a time.

        Raises:
            MrcontrastError: A file cannot be read, or a prediction is not on the reference's grid.
        """
        session = Session(case, self)
        result = CaseResult(case.name, real_vectors=session.real_vectors)
        for method, path in case.predictions.items():
            prediction = session.read(path)
            image = self.rule.rescale(prediction.data, session.ends)
            regions = self.compare(image, session.anatomy, session.ends)
            if self.features is not None:
                result.vectors[method], perceptual = session.compare_features(image)
                regions["brain"][self.features.metric.name] = perceptual
            result.rows.extend(session.rows(method, regions))
            if (spread := session.spread(path)) is not None:
                error = image[session.mask] - session.anatomy.image[session.mask]
                result.calibrations[method] = calibrate(error, spread)
            if self.training is not None:
                pair = prediction, session.reference
                result.nearest[method] = self.training.nearest(*pair, session.mask)
            own = method.removesuffix(SHUFFLED)
            if own != method and own in case.predictions and self.target in condition.TARGETS:
                found = session.swap(case.predictions[own], image, brain_of(prediction.data))
                if found is not None:
                    result.swaps[own] = found
        return result


class Session:
    """The real image of one session, read once for all predictions."""

    def __init__(self, case: Case, scorer: Scorer) -> None:
        self.case, self.scorer = case, scorer
        self.reference, self.mask = read_reference(case, scorer.normaliser)
        with naming(case.reference):
            self.ends = scorer.rule.ends(self.reference.data, self.mask)
        self.measured = scorer.rule.measured(self.ends)

    def read(self, path: Path, zeros: bool = False) -> Volume:
        """Read a prediction or its deviation; see ``read_like``."""
        return read_like(path, self.reference, self.case, self.mask, zeros)

    @cached_property
    def anatomy(self) -> Anatomy:
        """The real image in the units of the metrics, with its lesions and labels."""
        target = self.scorer.rule.rescale(self.reference.data, self.ends)
        return read_anatomy(self.case, self.reference, target, self.mask)

    @cached_property
    def real_view(self) -> Any:  # noqa: ANN401 - a tensor; torch is imported late
        """The real image, prepared for the feature network."""
        assert self.scorer.features is not None
        return self.scorer.features.view(self.anatomy.image, self.mask, self.measured)

    @property
    def real_vectors(self) -> np.ndarray | None:
        """Features of the real image, (n, dim), or None."""
        features = self.scorer.features
        return None if features is None else features.vectors(self.real_view)

    def compare_features(self, image: np.ndarray) -> tuple[np.ndarray, float]:
        """Return the features (n, dim) of a synthetic image and its perceptual distance."""
        features = self.scorer.features
        assert features is not None
        ours = features.view(image, self.mask, self.measured)
        return features.vectors(ours), features.distance(ours, self.real_view)

    def rows(self, method: str, regions: dict[str, Scores]) -> list[Row]:
        """Return the scores of one method with the size of each region."""
        masks, size = self.anatomy.regions, self.reference.data.size
        counts = {name: size if m is None else int(m.sum()) for name, m in masks.items()}
        fixed = self.case.name, self.case.subject, method
        return [
            Row(*fixed, region, counts[region], *self.ends, scores)
            for region, scores in regions.items()
        ]

    def swap(self, own: Path, other: np.ndarray, other_brain: np.ndarray) -> Swap | None:
        """Compare the image from the own sources with another's, (X, Y, Z), on one grid."""
        image = self.scorer.rule.rescale(self.read(own).data, self.ends)
        low, high = self.measured
        return compare_swap(image, other, other_brain, self.anatomy, high - low)

    def spread(self, prediction: Path) -> np.ndarray | None:
        """Return the predicted deviation in the brain, (N,), in the metrics' units, or None."""
        path = PredictionFiles(prediction).std
        if not path.is_file():
            return None
        deviation = self.read(path, zeros=True)
        low, high = self.measured
        return deviation.data[self.mask] * ((high - low) / (self.ends[1] - self.ends[0]))
