"""Metrics by region and by slice: each value is that of its own function."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from tests.metrics.conftest import ms_ssim

from mrcontrast.evaluation.metric_list import METRICS, describe
from mrcontrast.metrics.metric import Metric, Pair
from mrcontrast.metrics.multiscale import SimilarityPyramid
from mrcontrast.metrics.score_regions import (
    MIN_SHARE,
    Scores,
    score_regions,
    score_slices,
    slices_of,
)
from mrcontrast.metrics.structural import ssim
from mrcontrast.metrics.voxelwise import mean_absolute_error, peak_signal_to_noise

MakePair = Callable[..., tuple[np.ndarray, np.ndarray]]

SHAPE = (26, 24, 31)
OF_REGIONS = [metric for metric in METRICS if metric.per == "region"]


def whole(prediction: np.ndarray, target: np.ndarray, num_scales: int, low: float = 0.0) -> Pair:
    similarity = SimilarityPyramid(prediction, target, 1.0 - low, num_scales)
    return Pair(prediction, target, None, (low, 1.0), similarity)


def test_every_value_is_that_of_its_own_function(make_pair: MakePair) -> None:
    prediction, target = make_pair(SHAPE)
    mask = np.zeros(SHAPE, bool)
    mask[4:20, 5:20, 6:25] = True
    regions = {"brain": mask, "image": None}
    scores = score_regions(whole(prediction, target, 2, low=-1.0), regions, OF_REGIONS)
    for region, voxels in regions.items():
        assert scores[region]["mae"] == mean_absolute_error(prediction, target, voxels)
        assert scores[region]["psnr"] == peak_signal_to_noise(prediction, target, 2.0, voxels)
        assert scores[region]["ssim"] == pytest.approx(ssim(prediction, target, 2.0, voxels))
        assert scores[region]["ms_ssim"] == pytest.approx(ms_ssim(prediction, target, 2.0, voxels))


def test_a_region_that_halving_drops_has_no_ms_ssim(make_pair: MakePair) -> None:
    """The 31st voxel of an axis has no neighbour to be averaged with."""
    last = np.zeros(SHAPE, bool)
    last[10:12, 10:12, 30] = True
    regions = {"lesion": last, "brain": np.ones(SHAPE, bool)}
    scores = score_regions(whole(*make_pair(SHAPE), 2), regions, OF_REGIONS)
    assert set(scores["brain"]) - set(scores["lesion"]) == {"ms_ssim"}
    assert ms_ssim(*make_pair(SHAPE), 1.0, last, num_scales=2) is None
    assert ms_ssim(*make_pair(SHAPE), 1.0, last, num_scales=1) is not None


@pytest.mark.parametrize("axis", [None, 2])
def test_every_value_is_defined(make_pair: MakePair, axis: int | None) -> None:
    regions = {"brain": np.ones(SHAPE, bool), "image": None}
    pair = whole(*make_pair(SHAPE), 2)
    scores = (
        score_regions(pair, regions, OF_REGIONS)
        if axis is None
        else score_slices(pair, regions, OF_REGIONS, axis)
    )
    described = describe(OF_REGIONS, num_scales=2, data_range=1.0)
    assert set(scores) == set(regions)
    for values in scores.values():
        assert list(values) == list(described) == [metric.name for metric in OF_REGIONS]
    assert described["ms_ssim"]["num_scales"] == len(described["ms_ssim"]["weights"]) == 2


def test_a_volume_slice_by_slice_is_the_mean_of_its_slices(make_pair: MakePair) -> None:
    prediction, target = make_pair((30, 9, 26), 2.0)
    brain = np.zeros(target.shape, bool)
    brain[4:26, 2:8, 3:22] = True
    brain[10:12, 8, 10] = True  # the tip of the brain: two voxels
    lesion = brain & (np.indices(target.shape)[1] == 4)
    regions = {"brain": brain, "image": None, "lesion": lesion}
    found = score_slices(whole(prediction, target, 2), regions, OF_REGIONS, axis=1)
    assert slices_of(brain, 1).tolist() == [2, 3, 4, 5, 6, 7]
    assert MIN_SHARE * 22 * 19 > 2
    each = [
        score_regions(
            whole(prediction[:, k], target[:, k], 2),
            {"brain": brain[:, k], "image": None},
            OF_REGIONS,
        )
        for k in range(2, 8)
    ]
    for region in ("brain", "image"):
        assert set(found[region]) == {metric.name for metric in OF_REGIONS}
        for metric, value in found[region].items():
            mean = np.mean([scores[region][metric] for scores in each])
            assert value == pytest.approx(mean, abs=1e-5)
    assert found["lesion"]["mae"] == pytest.approx(each[2]["brain"]["mae"])


def test_a_slice_whose_region_halving_drops_counts_for_all_but_ms_ssim(make_pair: MakePair) -> None:
    """Of two slices the lesion of one is in the 27th row alone, which has no neighbour."""
    prediction, target = make_pair((27, 26, 2), 2.0)
    lesion = np.zeros(target.shape, bool)
    lesion[10:14, 9:13, 0] = lesion[26, 9:13, 1] = True

    def scores_of(voxels: np.ndarray) -> Scores:
        regions = {"brain": np.ones(target.shape, bool), "lesion": voxels}
        return score_slices(whole(prediction, target, 2), regions, OF_REGIONS, axis=2)["lesion"]

    parts = np.array([[True, True], [True, False], [False, True]])
    both, first, second = (scores_of(lesion & part) for part in parts)
    assert both["ms_ssim"] == first["ms_ssim"]
    assert both["mae"] == pytest.approx(
        np.mean([np.abs(prediction - target)[..., k][lesion[..., k]].mean() for k in (0, 1)])
    )
    assert set(first) - set(second) == {"ms_ssim"}


@pytest.mark.parametrize("missing", [None, math.nan])
def test_slices_without_a_value_do_not_count(make_pair: MakePair, missing: float | None) -> None:
    """An added metric is defined where the target of the slice is bright."""

    def brightness(pair: Pair) -> float | None:
        return missing if pair.target.max() < 0.5 else float(pair.voxels[1].mean())

    prediction, target = make_pair((16, 17, 3))
    target[..., 1] = 0.25
    metric = Metric("brightness", "Brightness", "mean", brightness)
    regions = {"brain": np.ones(target.shape, bool)}
    found = score_slices(whole(prediction, target, 1), regions, [metric], axis=2)["brain"]
    assert found == {"brightness": pytest.approx(target[..., ::2].mean())}
